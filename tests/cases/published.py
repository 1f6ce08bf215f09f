"""Inputs of cases from public issue trackers, in `tests/golden/cases`, and what a cohort made from them holds."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pysam

from varfx.expression.cohort.store import Cohort

CASES = Path(__file__).parents[1] / "golden" / "cases"
STUDY = "expression_study"
WINDOW = 2048


def copy_case(name: str, folder: Path) -> Path:
    """The study that the cases share, with the files of one case in place of its own; VCFs get an index."""
    for source in (*(CASES / STUDY).iterdir(), *(CASES / name).iterdir()):
        if source.name == "ref.fa.gz":
            (folder / "ref.fa").write_bytes(gzip.decompress(source.read_bytes()))
        else:
            shutil.copyfile(source, folder / source.name)
    for path in folder.glob("*.vcf.gz"):
        if not Path(f"{path}.tbi").is_file() or (
            (CASES / name / path.name).is_file() and not (CASES / name / f"{path.name}.tbi").is_file()
        ):
            pysam.tabix_index(str(path), preset="vcf", force=True)
    return folder


def options(folder: Path, **changes: object) -> list[object]:
    """The words of `varfx expr prepare` on a case's files; None leaves an option out."""
    given: dict[str, object] = {
        "genotypes": "geno.vcf.gz",
        "expression": "expr.bed.gz",
        "reference": "ref.fa",
        "gtf": "genes.gtf.gz",
        "window": WINDOW,
        "out": "cohort",
    } | changes
    words: list[object] = ["expr", "prepare"]
    for name, value in given.items():
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            is_path = isinstance(each, str) and ("." in each or name == "out")
            words += [f"--{name.replace('_', '-')}", folder / each if is_path else each]
    return words


def expected_dosages(vcf: Path) -> dict[tuple[str, int, str], np.ndarray]:
    """Copies of ALT by chromosome, position and ALT, read from the text of a VCF of diploid calls without gaps."""
    found: dict[tuple[str, int, str], np.ndarray] = {}
    for line in gzip.decompress(vcf.read_bytes()).decode().splitlines():
        if not line.startswith("#"):
            fields = line.split("\t")
            place = fields[8].split(":").index("GT")
            calls = [cell.split(":")[place].replace("|", "/").split("/") for cell in fields[9:]]
            for number, alt in enumerate(fields[4].split(","), start=1):
                copies = [sum(allele == str(number) for allele in call) for call in calls]
                found[fields[0].removeprefix("chr"), int(fields[1]), alt] = np.array(copies)
    return found


def cohort_dosages(cohort: Cohort) -> dict[tuple[str, int, str], np.ndarray]:
    """The same of a cohort."""
    found: dict[tuple[str, int, str], np.ndarray] = {}
    for gene in cohort.genes["gene_id"]:
        variants, _ = cohort.window_variants(gene)
        for row, values in zip(variants.iter_rows(named=True), cohort.dosages(gene), strict=True):
            found[row["chrom"], row["position"], row["effect_allele"]] = values
    return found
