"""Reading and writing Timeloop v0.4 files."""

from camel_plugin.files.v04.ert import write_ert
from camel_plugin.files.v04.mapping_file import read_mapping
from camel_plugin.files.v04.mapping_writer import write_mapping
from camel_plugin.files.v04.problem_file import read_problem, write_problem

__all__ = ["read_mapping", "read_problem", "write_ert", "write_mapping", "write_problem"]
