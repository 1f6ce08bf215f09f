"""What goes into a report; without numpy, so that help pages can show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from varfx.errors import ConfigError

LOCI, MOST_LOCI = 20, 100
LARGEST = 5_000_000  # bytes of a report that can be sent
MOST_LOGOS = 10


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What goes into a report, beside the run."""

    finemap: Path | None = None
    """Beginning of the files of `varfx finemap --out F`: F.pip.tsv.gz, F.cs.tsv, F.loci.tsv."""
    h2: Path | None = None
    """Beginning of the files of `varfx prior h2 --out H`: H.json."""
    qc: Path | None = None
    """Beginning of the files of `varfx qc --out Q`: Q.windows.tsv, Q.variants.tsv, Q.json."""
    evaluation: Path | None = None
    """JSON of `varfx prior evaluate` or `varfx expr evaluate`; by default the run is evaluated now."""
    gtf: Path | None = None
    """Genes (GENCODE or Ensembl GTF) of the study's genome build, drawn below each locus or gene's variant effects."""
    variants: Path | None = None
    """Table of `varfx expr variants --long`: variant effects around genes, for a run on expression."""
    explained: Path | None = None
    """Beginning of the files of `varfx expr explain --out E`: what high-scoring variants do, for a run on expression."""
    trait: str | None = None
    """Trait of a run of several; by default the first."""
    title: str | None = None
    """Title; by default the trait."""
    channels: tuple[str, ...] = ()
    """0/1 annotations to draw below each locus; by default the six that go furthest with f."""
    loci: int | None = None
    """Number of loci drawn, the strongest first (by default 20), or of genes with a page, the best predicted first (by default as many as fit); the table has all."""
    genes: tuple[str, ...] = ()
    """Genes with a page of their own, for a run on expression: ids, symbols, or files with one per line."""
    states: tuple[str, ...] = ()
    """BED files of chromatin states or peaks, for a run on expression: PATH or NAME=PATH, drawn below a gene's variant effects."""
    logos: int = 1
    """Variants of each gene around which a network's gradients and mutagenesis are drawn; 0 for none."""
    cohort: Path | None = None
    """Where the cohort of a run on expression lies, if it moved."""
    static: bool = False
    """Pictures by matplotlib (PNG) and no scripts."""

    def __post_init__(self) -> None:
        if self.loci is not None and not 0 <= self.loci <= MOST_LOCI:
            raise ConfigError(
                f"`loci` must be 0 to {MOST_LOCI}, got {self.loci}: more would not open well in a browser."
            )
        if not 0 <= self.logos <= MOST_LOGOS:
            raise ConfigError(f"`logos` must be 0 to {MOST_LOGOS}, got {self.logos}.")
        if self.genes and self.loci is not None:
            raise ConfigError("`genes` and `loci` both say which genes have a page. Give one of them.")

    @property
    def drawn_loci(self) -> int:
        """Number of loci drawn."""
        return LOCI if self.loci is None else self.loci

    def file(self, option: str, ending: str) -> Path | None:
        """The file of an option that names a common beginning; the full name of one of its files is taken too."""
        begin: Path | None = getattr(self, option)
        if begin is None:
            return None
        name = str(begin)
        for known in (
            ".pip.tsv.gz",
            ".cs.tsv",
            ".loci.tsv",
            ".windows.tsv",
            ".variants.tsv",
            ".motifs.tsv.gz",
            ".enrichment.tsv",
            ".controls.tsv",
            ".eqtl.json",
            ".json",
            ".results",
        ):
            name = name.removesuffix(known)
        return Path(name + ending)
