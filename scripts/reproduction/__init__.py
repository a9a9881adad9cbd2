"""Parts of reproduce_camel.py."""
