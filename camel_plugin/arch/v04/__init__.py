"""Reading and writing Timeloop v0.4 files."""
