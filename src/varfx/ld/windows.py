"""Windows of a genome: cores that tile it, each with a flank on either side."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

import polars as pl

from varfx.errors import ConfigError
from varfx.genome.variants import in_genome_order
from varfx.io.file_names import as_file_name


@dataclass(frozen=True, order=True)
class Core:
    """A core [start, end) on a chromosome, 0-based; the variants in it are scored."""

    chrom: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """A name fit for a folder, e.g. `chr20_20000000_21000000`; a stranger's file must not choose where a window lies."""
        chrom = as_file_name(self.chrom) if {"/", "\0"} & set(self.chrom) else self.chrom
        return f"chr{chrom}_{self.start}_{self.end}"

    def overlaps(self, other: Core) -> bool:
        """True if the two share a base."""
        return self.chrom == other.chrom and self.start < other.end and other.start < self.end


def core_of_name(name: str) -> Core:
    """The core that has this name."""
    chrom, start, end = name.removeprefix("chr").rsplit("_", 2)
    return Core(unquote(chrom) if "%2F" in chrom or "%00" in chrom else chrom, int(start), int(end))


def tile(variants: pl.DataFrame, core: int) -> list[Core]:
    """The cores that hold at least one variant, in genome order, with bounds at multiples of `core` bases.

    Raises:
        ConfigError: `core` is not positive.
    """
    if core <= 0:
        raise ConfigError(f"`core` must be a positive number of bases, got {core}. The usual value is 1000000.")
    starts = variants.select("chrom", position=(pl.col("position") - 1) // core * core)
    cells = in_genome_order(starts.unique())
    return [Core(chrom, start, start + core) for chrom, start in cells.iter_rows()]
