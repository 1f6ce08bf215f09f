"""What goes into a report; without numpy, so that help pages can show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from varfx.errors import ConfigError

MOST_LOCI = 100


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
    """Genes (GENCODE or Ensembl GTF) of the study's genome build, drawn below each locus."""
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
    loci: int = 20
    """Number of loci drawn, the strongest first; the table has all."""
    static: bool = False
    """Pictures by matplotlib (PNG) and no scripts."""

    def __post_init__(self) -> None:
        if not 0 <= self.loci <= MOST_LOCI:
            raise ConfigError(
                f"`loci` must be 0 to {MOST_LOCI}, got {self.loci}: more would not open well in a browser."
            )

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
