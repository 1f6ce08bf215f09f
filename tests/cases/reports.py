"""Material for reports: files as `varfx finemap`, `varfx prior h2` and `varfx qc` write them, of a simulated study, and a GTF."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cases.simulated_panel import Simulated
from varfx.gwas.sumstats import read_sumstats

EVIL = "</script><b>\x1b[31mx</b>"
PIP_COLUMNS = (
    "CHR SNP BP A1 A2 SNPVAR Z N P PIP BETA_MEAN BETA_SD DISTANCE_FROM_CENTER CREDIBLE_SET PIP_UNIFORM LBF LOCUS QC"
)
CS_COLUMNS = "locus cs n log10bf coverage purity_min purity_mean purity_median lead lead_pip cs_r2_min variants"
LOCI_COLUMNS = "locus chrom start end n_variants lead p L_used converged sigma2 kappa s_rss energy_z energy_p Q_art lambda_mismatch qc"


@dataclass(frozen=True)
class Reported:
    """A run, the files beside it, and its report."""

    run: Path
    folder: Path
    html: Path

    def options(self) -> list[str]:
        """The files as options."""
        return [
            "--finemap",
            f"{self.folder}/F",
            "--h2",
            f"{self.folder}/H",
            "--qc",
            f"{self.folder}/Q",
            "--gtf",
            f"{self.folder}/g.gtf",
        ]


def write_finemap(simulated: Simulated, out: Path, *, evil: bool = False) -> Path:
    """Writes OUT.pip.tsv.gz, OUT.cs.tsv and OUT.loci.tsv of two loci by their columns in the specification; returns OUT."""
    table = read_sumstats(simulated.height).table
    pips, sets, loci = [], [], []
    for number, chrom in enumerate(("1", "2")):
        rows = table.filter(pl.col("chrom") == chrom)
        lead = int(rows["z"].abs().to_numpy().argmax())
        name = f"chr{chrom}_0_{rows['position'].max()}"
        ids = rows["variant_id"].to_list()
        if evil and number == 0:
            ids[lead] = EVIL
        for i, row in enumerate(rows.iter_rows(named=True)):
            pip = 0.9 if i == lead else 0.05 if i == lead - 1 else 0.0001
            p = math.erfc(abs(row["z"]) / math.sqrt(2))
            mark = "warn" if number else "pass"
            chosen = int(i in (lead, lead - 1))
            pips.append((chrom, ids[i], row["position"], row["effect_allele"], row["other_allele"], "1.0e-5", f"{row['z']:.5e}", 10000, p, pip, 0.01, 0.001, 0, chosen, pip / 2, 1.5, name, mark))  # fmt: skip
        sets.append((name, 1, 2, 5.5, 0.95, 0.8, 0.9, 0.9, ids[lead], 0.9, 0.64, f"{ids[lead]},{ids[lead - 1]}"))
        loci.append((name, chrom, 0, rows["position"].max(), rows.height, ids[lead], 1e-9, 1, "yes", 1.0, 0.5, "NA", "NA", "NA", "NA", "NA", "warn" if number else "pass"))  # fmt: skip
    with gzip.open(f"{out}.pip.tsv.gz", "wt") as file:
        file.write(_text(PIP_COLUMNS, pips))
    Path(f"{out}.cs.tsv").write_text(_text(CS_COLUMNS, sets))
    Path(f"{out}.loci.tsv").write_text(_text(LOCI_COLUMNS, loci))
    return out


def _text(columns: str, rows: list[tuple[object, ...]]) -> str:
    lines = [columns.split(), *([str(value) for value in row] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def write_heritability(out: Path, *, trait: str = "height") -> Path:
    """Writes OUT.json with the keys that `varfx prior h2` gives it; returns OUT."""
    entry = {
        "prop_snps": 0.1,
        "prop_h2": 0.3,
        "prop_h2_se": 0.05,
        "enrichment_p": 0.004,
        "tau_star": 0.5,
        "tau_star_se": 0.1,
    }
    names = ("coding", EVIL, "conserved")
    rows = [
        {"name": name, "enrichment": 3.0 - k, "enrichment_se": 0.5, "enrichment_ci95": [2.0 - k, 4.0 - k], "plug_in_enrichment": 2.5, **entry}
        for k, name in enumerate(names)
    ]  # fmt: skip
    found = {"trait": trait, "h2": 0.31, "h2_se": 0.02, "h2_ci95": [0.27, 0.35], "sigma2": 1.02, "sigma2_se": 0.01}
    Path(f"{out}.json").write_text(
        json.dumps({**found, "annotations": rows, "top": [], "notes": ["a note of /home/someone/x.txt"]})
    )
    return out


def write_quality(out: Path) -> Path:
    """Writes OUT.windows.tsv, OUT.variants.tsv and OUT.json; returns OUT."""
    windows = [
        ("chr1_0_1000000", "1", 0, 1000000, 12.5, "1e-9", "fail", "flipped alleles"),
        ("chr2_0_1000000", "2", 0, 1000000, 0.1, "0.5", "pass", ""),
    ]
    Path(f"{out}.windows.tsv").write_text(
        _text(
            "window chrom start end energy_z energy_p qc cause",
            [tuple(each or "NA" for each in row) for row in windows],
        )
    )
    Path(f"{out}.variants.tsv").write_text(
        _text("window variant position z kriging_z", [("chr1_0_1000000", EVIL, 5, 3.5, -9.1)])
    )
    Path(f"{out}.json").write_text(json.dumps({"notes": []}))
    return out


def write_gtf(path: Path) -> Path:
    """Writes a small GTF: genes on both strands, two transcripts, a gene far away; returns the path."""

    def row(
        feature: str, chrom: str, start: int, end: int, strand: str, gene: str, *, transcript: str = "", more: str = ""
    ) -> str:
        marks = f'gene_id "ENSG{gene}.1"; gene_name "{gene}"; gene_type "protein_coding"; '
        marks += f'transcript_id "{transcript}"; ' if transcript else ""
        return f"chr{chrom}\tTEST\t{feature}\t{start}\t{end}\t.\t{strand}\t.\t{marks}{more}\n"

    path.write_text(
        "##description: test\n"
        + row("gene", "1", 1_000, 900_000, "+", "ALPHA")
        + row("exon", "1", 1_000, 2_000, "+", "ALPHA", transcript="A1")
        + row("exon", "1", 5_000, 90_000, "+", "ALPHA", transcript="A2", more='tag "basic";')
        + row("exon", "1", 100_000, 100_500, "+", "ALPHA", transcript="A3", more='tag "Ensembl_canonical";')
        + row("gene", "1", 1_500_000, 1_600_000, "-", "BETA")
        + row("gene", "2", 10_000, 20_000, "+", "GAMMA")
        + row("exon", "2", 10_000, 11_000, "+", "GAMMA", transcript="G1")
        + row("gene", "3", 10_000, 20_000, "+", "FAR")
    )
    return path
