"""From a file with minor-allele frequencies, or of MungeSumstats, to weights: as good as from the right file, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.stats
from bed_reader import to_bed

from varfx import gwas, prior
from varfx.cli.tree import build_app
from varfx.errors import ConfigError, FormatError
from varfx.genome.matching import Matching
from varfx.genotypes.open_ld import open_source
from varfx.ld import build_panel
from varfx.models import ModelConfig
from varfx.training import TrainConfig

PEOPLE, VARIANTS, CHROMS = 300, 120, ("1", "2")
PAIRS = np.array(["AC", "AG", "TC", "GT", "AT", "CG"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    """A folder with a panel, and a GWAS of a heritable trait with its true effects; a third of the variants palindromic."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(5)
    walks = np.cumsum(rng.standard_normal((2, PEOPLE, VARIANTS, len(CHROMS))) * 0.5, axis=2)
    rank = walks.argsort(axis=1).argsort(axis=1) / PEOPLE  # of each haplotype at a variant
    threshold = rng.uniform(0.05, 0.95, (1, 1, VARIANTS, len(CHROMS)))
    genotypes = (rank > threshold).sum(axis=0).transpose(0, 2, 1).reshape(PEOPLE, -1).astype(np.int8)
    kept = genotypes.std(axis=0) > 0.2
    genotypes, size = genotypes[:, kept], int(kept.sum())
    pairs = rng.choice(PAIRS, size)
    position = np.tile(1_000_000 + 30_000 * np.arange(VARIANTS), len(CHROMS))[kept]
    chrom = np.repeat(CHROMS, VARIANTS)[kept]
    standard = (genotypes - genotypes.mean(0)) / genotypes.std(0)
    effects = rng.standard_normal(size) * 1.2 / size**0.5
    trait = standard @ effects + rng.standard_normal(PEOPLE)
    z = standard.T @ (trait - trait.mean()) / trait.std() / PEOPLE**0.5
    table = pl.DataFrame(
        {
            "CHR": chrom,
            "SNP": [f"rs{k}" for k in range(size)],
            "POS": position,
            "A1": [pair[0] for pair in pairs],
            "A2": [pair[1] for pair in pairs],
            "N": PEOPLE,
            "AF1": genotypes.mean(0) / 2,
            "BETA": z * 0.05,
            "SE": 0.05,
            "P": 2 * scipy.stats.norm.sf(np.abs(z)),
            "truth": effects,
        }
    )
    properties = {"iid": [f"i{k}" for k in range(PEOPLE)], "chromosome": chrom, "sid": table["SNP"].to_list()}
    properties |= {"bp_position": position, "allele_1": table["A1"].to_list(), "allele_2": table["A2"].to_list()}
    to_bed(folder / "p.bed", genotypes, properties=properties)
    build_panel(open_source([folder / "p.bed"]), folder / "P.ld.zarr", workers=1)
    return folder, table


def accuracy(
    folder: Path, table: pl.DataFrame, name: str, palindromes: str | None = None, **columns: str
) -> dict[str, tuple[float, np.ndarray]]:
    """Correlation of the weights with the true effects, and the weights, of all and of not palindromic variants."""
    path = folder / name
    table.drop("truth").write_csv(path, separator="\t")
    sumstats, run = folder / f"{name}.sumstats.parquet", folder / f"run_{name}"
    gwas.clean(path, out=sumstats, columns=columns or None)
    prior.fit(
        folder / "P.ld.zarr",
        sumstats,
        run,
        model=ModelConfig(kind="constant"),
        training=TrainConfig(max_steps=20),
        palindromes=palindromes,
    )
    found = prior.weights(run)  # matches as the fit did
    truth = table.select("SNP", "truth").rename({"SNP": "variant_id"})
    joined = found.join(truth, on="variant_id", how="left", maintain_order="left")
    beta, true = joined["beta"].to_numpy(), joined["truth"].to_numpy()
    plain = ~(joined["effect_allele"] + joined["other_allele"]).is_in(["AT", "TA", "CG", "GC"]).to_numpy()
    return {
        "all": (float(np.corrcoef(beta, true)[0, 1]), beta),
        "plain": (float(np.corrcoef(beta[plain], true[plain])[0, 1]), beta[plain]),
    }


def test_frequencies_of_another_allele_do_no_harm(study: tuple[Path, pl.DataFrame]) -> None:
    folder, table = study
    right = accuracy(folder, table, "good.fastGWA")
    assert right["all"][0] > 0.3
    minor = table.with_columns(AF1=pl.min_horizontal("AF1", 1 - pl.col("AF1")))
    lost = accuracy(folder, minor, "maf.fastGWA")
    assert lost["plain"][0] > right["plain"][0] - 0.02
    assert np.corrcoef(lost["plain"][1], right["plain"][1])[0, 1] > 0.9
    assert lost["all"][0] > 0.3  # the palindromes have no association of their own, but no wrong sign either
    swapped = table.select(
        "SNP", "CHR", BP="POS", A1="A2", A2="A1", FRQ="AF1", BETA="BETA", SE="SE", P="P", Z=pl.col("BETA") / 0.05, N="N",
        truth="truth",
    )  # fmt: skip
    with pytest.raises(FormatError, match="A1 and A2 do not say which is the effect allele"):
        accuracy(folder, swapped, "munge.tsv")
    named = accuracy(folder, swapped, "munge.named.tsv", effect_allele="A2", other_allele="A1")
    np.testing.assert_allclose(named["all"][1], right["all"][1], rtol=1e-4, atol=1e-6)


def test_palindromes_and_overlap_are_options_of_a_run(study: tuple[Path, pl.DataFrame]) -> None:
    folder, table = study
    kept = accuracy(folder, table, "kept.fastGWA", palindromes="keep")
    right = accuracy(folder, table, "right.fastGWA")
    assert kept["all"][0] > right["all"][0] - 0.02  # one strand: keeping them all loses nothing
    matched = [
        prior.open_run(folder / f"run_{name}.fastGWA").record["traits"][0]["matched"] for name in ("kept", "right")
    ]
    assert matched[0] == table.height > matched[1]
    assert prior.open_run(folder / "run_kept.fastGWA").record["config"]["matching"]["palindromes"] == "keep"
    sumstats = folder / "right.fastGWA.sumstats.parquet"
    with pytest.raises(ConfigError, match=r"`--min-overlap` must be between 0 and 1, but is 2"):
        prior.fit(folder / "P.ld.zarr", sumstats, folder / "run_no", min_overlap=2)
    words = [
        "prior",
        "fit",
        "--panel",
        "P",
        "--sumstats",
        "S",
        "--out",
        "R",
        "--palindromes",
        "drop",
        "--min-overlap",
        "0",
    ]
    _, bound, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
    assert bound.arguments["inputs"].files().matching == Matching(palindromes="drop", min_overlap=0)
