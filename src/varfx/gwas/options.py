"""Filters of a GWAS file's variants."""

from __future__ import annotations

import math
from dataclasses import dataclass

from varfx.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """Filters of variants.

    Attributes:
        min_info: Drop variants whose imputation quality (INFO) is below this, or unknown.
        min_maf: Drop variants whose minor-allele frequency is below this, or unknown.
        min_n: Drop variants whose effective sample size is below this.
        max_missing: Drop variants whose n is below (1 - this) times the largest n of the file.
        drop_mhc: Drop the major histocompatibility complex, chr6:25-34 Mb.
        drop_low_confidence: Drop variants that the file itself marks as of low confidence (Pan-UKB, Neale lab).
        drop_invalid: Drop and count rows that cannot be right, in place of stopping at them.
        one_sign: Accept a file in which z has one sign only, as in tables oriented to the risk allele.
        bolt_neff: Scale N of BOLT-LMM files by the power that the mixed model gains over linear regression.
    """

    min_info: float | None = None
    min_maf: float | None = None
    min_n: float | None = None
    max_missing: float | None = None
    drop_mhc: bool = False
    drop_low_confidence: bool = False
    drop_invalid: bool = False
    one_sign: bool = False
    bolt_neff: bool = True

    def __post_init__(self) -> None:
        bounds = {"min_info": 1.0, "min_maf": 0.5, "min_n": math.inf, "max_missing": 1.0}
        for name, upper in bounds.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= upper:
                option = name.replace("_", "-")
                raise ConfigError(f"`--{option}` is {value:g}; it must lie between 0 and {upper:g}.")
