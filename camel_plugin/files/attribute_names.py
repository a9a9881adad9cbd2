"""What attributes of storages are called in files of different age."""

from collections.abc import Mapping

NAMES: Mapping[str, tuple[str, ...]] = {
    "width": ("width", "memory_width", "data_storage_width"),
    "datawidth": ("word_bits", "word_width", "datawidth"),
    "depth": ("depth", "memory_depth", "data_storage_depth"),
    "block_size": ("block_size", "n_words"),
}
"""Attributes that Timeloop takes under several names; of several given, the first one here counts."""
