"""Annotations of variants: the table and its file, how it is built, and how it becomes features."""

from varfx.data.annot_build import BedSpec, TableSpec, build_annotations, parse_named_path, with_frequencies
from varfx.data.annotation_table import Annotations, read_annotations
from varfx.data.dbnsfp import DbnsfpSpec
from varfx.data.standardise import Standardiser

__all__ = [
    "Annotations",
    "BedSpec",
    "DbnsfpSpec",
    "Standardiser",
    "TableSpec",
    "build_annotations",
    "parse_named_path",
    "read_annotations",
    "with_frequencies",
]
