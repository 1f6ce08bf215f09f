"""`varfx sumstats`: GWAS summary statistics from the files of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from varfx.errors import ConfigError
from varfx.gwas.options import CleanOptions

if TYPE_CHECKING:
    from varfx.gwas.sumstats import SumStats


_NO_FILTERS = CleanOptions()


def clean(
    file: list[Path],
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    n: str | None = None,
    trait: str | None = None,
    filters: Annotated[CleanOptions, Parameter(name="*")] = _NO_FILTERS,
    columns: str | None = None,
    na: str | None = None,
    positions_from: Path | None = None,
    build: str | None = None,
) -> None:
    """Checks and converts a GWAS file of any common format into `*.sumstats.parquet`.

    The format is recognised by the header: BOLT-LMM, alkesgroup UKBB, fastGWA, REGENIE (also --htp), SAIGE,
    PLINK2 .glm, METAL, MTAG, COJO .ma, LDSC, PolyFun; GWAS-SSF (with its YAML), GWAS-VCF, FinnGen, GBMI, Pan-UKB,
    Neale lab, PGC; plain, gzip, bgzip, zstd or Parquet. Nothing is changed or dropped silently: the tables at the end
    say which columns are used and count every step, and the output keeps them.

        varfx sumstats clean bolt.stats.gz -o height.sumstats.parquet --n 450000 --min-info 0.6
        varfx sumstats clean t2d.regenie.gz -o t2d.sumstats.parquet --min-maf 0.01 --drop-mhc
        varfx sumstats clean odd.txt -o odd.sumstats.parquet --n 2e4,8e4 --columns effect_allele=A1,other_allele=A2,z=T

    Parameters
    ----------
    file
        The GWAS file; of a GWAS in several files, all of them, or one path with @ for the chromosome (h.chr@.txt.gz).
    out
        The file to write, by convention NAME.sumstats.parquet.
    n
        Sample size N, needed where the file has none; or CASES,CONTROLS of a binary trait, which also scales the N of
        a file to the effective size 4 / (1 / cases + 1 / controls).
    trait
        Name of the trait; by default the file's own, or its name. Of a file with columns for several traits (BETA.Y1,
        beta_EUR) or a GWAS-VCF of several studies, the one to take.
    filters
        Which variants to keep.
    columns
        ROLE=NAME,... for a header that no format fits, or against the format's own: roles are chrom, position, key
        (chromosome:position:ref:alt in one column, with effects of alt), variant_id, effect_allele, other_allele, eaf, maf, info, n, n_case, n_control, n_eff, n_eff_half, z, beta,
        odds_ratio, hazard_ratio, se, chisq, neg_log10_p, log10_p, ln_p, p. A named statistic is used alone.
    na
        Words that mark missing values in this file, separated by commas, beside those of its format.
    positions_from
        A .bim, .pvar or table with rsIDs, positions and alleles, for COJO and LDSC files, which have no positions.
    build
        Genome build of the positions, GRCh37 or GRCh38, where the file does not state it; a fit compares it with the panel's.
    """
    from varfx.gwas import clean as clean_file

    stats = clean_file(
        file[0] if len(file) == 1 else file,
        out=out,
        n=n,
        trait=trait,
        filters=filters,
        columns=_mapping(columns) if columns else None,
        na=na.split(",") if na else (),
        positions_from=positions_from,
        build=build,
    )
    _show(stats, file[0], out)


def _mapping(text: str) -> dict[str, str]:
    """`{role: column name}` of "role=NAME,role=NAME"."""
    pairs = [part.partition("=") for part in text.split(",")]
    for role, equals, name in pairs:
        if not (role and equals and name):
            raise ConfigError(f"`--columns` is {text[:60]!r}; it must read ROLE=NAME,ROLE=NAME,...")
    return {role.strip(): name.strip() for role, _, name in pairs}


def _show(stats: SumStats, file: Path, out: Path) -> None:
    """Prints the ledger and what the statistics look like."""
    from rich.table import Table

    from varfx.cli.console import console
    from varfx.genome.builds import said
    from varfx.gwas.summary import summarise

    console.print(f"{file.name}: {stats.metadata['format']}", soft_wrap=True)
    columns = Table("column", "used as")
    for use in stats.metadata["columns"]:
        note = f"not used{': ' * bool(use['note'])}{use['note']}"
        columns.add_row(use["column"], use["role"] or note)
    ledger = Table("step", "variants", "what")
    ledger.columns[1].justify = "right"
    for entry in stats.metadata["ledger"]:
        if not str(entry["step"]).startswith("columns "):
            ledger.add_row(str(entry["step"]), f"{entry['count']:,}", str(entry["note"]))
    console.print(columns)
    console.print(ledger)
    summary = summarise(stats.table)
    lines = {
        "trait": stats.trait,
        "build": said(stats.build) + ("" if stats.build else " (say it with --build)"),
        "n": f"{summary.n_min:,.0f} to {summary.n_max:,.0f}",
        "mean chi2": f"{summary.mean_chisq:.4g}",
        "lambda_GC": f"{summary.lambda_gc:.4g}",
        "lead variant": f"{summary.lead} (z = {summary.lead_z:.4g})",
        "written": str(out),
    }
    for name, value in lines.items():
        console.print(f"{name:<13}{value}", soft_wrap=True)
