"""The same genotypes through every layout of LD: the same correlations and likelihoods, whatever alleles the file lists."""

from __future__ import annotations

import gc
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cases import ld_matrices as write
from cases.ld import haplotype_counts, positions_of, write_bed
from cases.web import serving
from varfx.errors import ConfigError, FormatError
from varfx.genotypes.ld_source import CorrelationSource
from varfx.genotypes.open_ld import open_source
from varfx.ld import LDPanel, PanelConfig, WhitenedWindow, build_panel
from varfx.ld.whiten import rewhiten
from varfx.likelihood import exact

PEOPLE, END = 120, 4000
CONFIG = PanelConfig(core=1000, flank=1000, rank_variance=0.95, dtype="float64")


@dataclass(frozen=True)
class Reference:
    """Genotypes, the correlations of each chromosome with half of the alleles the other way round, and a GWAS of the allele A."""

    bed: Path
    variants: pl.DataFrame
    R: dict[str, np.ndarray]
    z: np.ndarray


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("reference")
    bed = write_bed(folder / "ref", haplotype_counts(rng, PEOPLE, 80), positions_of(rng, 80, ["1", "2"], END))
    source = open_source(bed)
    assert source.variants.height == 80
    X = source.standardised(np.arange(80), np.float64)  # type: ignore[attr-defined]
    swapped = rng.random(80) < 0.5
    sign = np.where(swapped, -1.0, 1.0)
    R = X.T @ X / PEOPLE * sign[:, None] * sign
    v = source.variants
    variants = v.with_columns(
        effect_allele=pl.when(pl.Series(swapped)).then("other_allele").otherwise("effect_allele"),
        other_allele=pl.when(pl.Series(swapped)).then("effect_allele").otherwise("other_allele"),
        eaf=pl.when(pl.Series(swapped)).then(1 - pl.col("eaf")).otherwise("eaf"),
    )
    first = int((v["chrom"] == "1").sum())
    lam, V = np.linalg.eigh(X.T @ X / PEOPLE)
    z = X.T @ X / PEOPLE @ (rng.standard_normal(80) * 0.7) + V @ (np.sqrt(lam.clip(0)) * rng.standard_normal(80))
    towards_a = np.where((v["effect_allele"] == "A").to_numpy(), 1.0, -1.0)
    return Reference(bed, variants, {"1": R[:first, :first], "2": R[first:, first:]}, z * towards_a)


def of_chromosome(reference: Reference, chrom: str) -> pl.DataFrame:
    return reference.variants.filter(pl.col("chrom") == chrom)


def squares(ending: str) -> Callable[[Reference, Path], list[Path]]:
    def make(reference: Reference, folder: Path) -> list[Path]:
        return [
            write.write_square(folder / f"c{chrom}{ending}", R, of_chromosome(reference, chrom))
            for chrom, R in reference.R.items()
        ]

    return make


def prscsx(reference: Reference, folder: Path) -> list[Path]:
    signs = np.where(np.arange(reference.variants.height) % 3 == 0, -1.0, 1.0)
    return [write.write_prscs(folder / "ld", reference.R, reference.variants, signs)]


def magenpy(dtype: str, ending: str = "") -> Callable[[Reference, Path], list[Path]]:
    def make(reference: Reference, folder: Path) -> list[Path]:
        (folder / "ld").mkdir()
        for chrom, R in reference.R.items():
            write.write_magenpy(
                folder / "ld" / f"chr_{chrom}{ending}", R, of_chromosome(reference, chrom), people=PEOPLE, dtype=dtype
            )
        return [folder / "ld"]

    return make


LAYOUTS: dict[str, tuple[Callable[[Reference, Path], list[Path]], float]] = {  # and the tolerance of log p
    "plink text": (squares(".ld"), 5e-5),
    "plink text.gz": (squares(".ld.gz"), 5e-5),
    "plink bin4": (squares(".ld.bin"), 5e-5),
    "plink2 bin4": (squares(".unphased.vcor1.bin"), 5e-5),
    "plink2 text": (squares(".unphased.vcor1"), 5e-5),
    "npy": (squares(".npy"), 5e-5),
    "npz": (squares(".npz"), 5e-5),
    "sbayesrc": (lambda r, f: [write.write_sbayesrc(f / "ld", r.R, r.variants, people=PEOPLE)], 5e-5),
    "sbayesrc old": (
        lambda r, f: [write.write_sbayesrc(f / "ld", r.R, r.variants, people=PEOPLE, share=0.9999, old=True)],
        1e-2,
    ),
    "prscs": (lambda r, f: [write.write_prscs(f / "ld", r.R, r.variants)], 5e-5),
    "prscsx": (prscsx, 5e-5),
    "magenpy float": (magenpy("float32"), 5e-5),
    "magenpy int16 zip": (magenpy("int16", ".zip"), 2e-3),
    "magenpy int8": (magenpy("int8"), 0.2),
    "ldpred2": (lambda r, f: [write.write_ldpred2(f / "ld", r.R, r.variants)], 5e-5),
}
NEED_PEOPLE = {name for name in LAYOUTS if not name.startswith(("sbayesrc", "magenpy"))}


def opened(name: str, reference: Reference, folder: Path) -> CorrelationSource:
    paths = LAYOUTS[name][0](reference, folder)
    options = {"num_people": PEOPLE} if name in NEED_PEOPLE else {}
    if name.startswith("plink2"):
        options["r_allele"] = "listed"  # type: ignore[assignment]
    source = open_source(paths, **options)  # type: ignore[arg-type]
    assert isinstance(source, CorrelationSource)
    return source


def log_ps(panel: LDPanel, reference: Reference, lacking: int = 0) -> np.ndarray:
    """Per window, of the same GWAS; it may lack every so many variants."""
    found = []
    for index in range(panel.windows.height):
        window = panel.window(index)
        key = panel.variants["position"].to_numpy() + 10_000.0 * (panel.variants["chrom"] == "2").to_numpy()
        sign = np.where((panel.variants["effect_allele"] == "A").to_numpy(), 1.0, -1.0)
        z, F = reference.z * sign, 0.1 + (key % 7) / 7
        observed = np.arange(window.core_rows.size)
        if lacking:
            observed = observed[key[window.core_rows] % lacking != 0]
        of = rewhiten(window.factors, observed)
        w = torch.from_numpy(of.P @ z[window.core_rows][observed])
        T = None if of.T is None else torch.from_numpy(of.T).double()
        whitened = WhitenedWindow(B=torch.from_numpy(window.factors.B).double(), w=w, T=T)
        found.append(float(exact(whitened, torch.from_numpy(F[window.panel_rows]), 1.1).log_p))
    return np.array(found)


@pytest.fixture(scope="module")
def expected(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> dict[int, np.ndarray]:
    panel = build_panel(open_source(reference.bed), tmp_path_factory.mktemp("panel") / "P.ld.zarr", CONFIG, workers=1)
    return {lacking: log_ps(panel, reference, lacking) for lacking in (0, 3)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_likelihood_is_that_of_the_genotypes(
    name: str, reference: Reference, expected: dict[int, np.ndarray], tmp_path: Path
) -> None:
    source = opened(name, reference, tmp_path)
    assert source.num_people == PEOPLE
    panel = build_panel(source, tmp_path / "P.ld.zarr", CONFIG, workers=1)
    assert panel.variants.select("chrom", "position").equals(reference.variants.select("chrom", "position"))
    assert panel.variants["effect_allele"].to_list() == reference.variants["effect_allele"].to_list()
    np.testing.assert_allclose(log_ps(panel, reference), expected[0], rtol=0, atol=LAYOUTS[name][1])
    np.testing.assert_allclose(
        log_ps(panel, reference, lacking=3), expected[3], rtol=0, atol=max(0.5, LAYOUTS[name][1])
    )


def test_uneven_blocks_are_apart_and_a_core_may_lie_in_two(reference: Reference, tmp_path: Path) -> None:
    R = reference.R["1"]
    half = R.shape[0] // 2
    blocks = {"1": R[:half, :half], "2": R[half:, half:], "3": reference.R["2"]}
    source = open_source(write.write_sbayesrc(tmp_path / "ld", blocks, reference.variants, people=PEOPLE))
    core, panel = source.select("1", 0, END, 0)
    square, cross = source.correlation(core, panel)  # type: ignore[attr-defined]
    np.testing.assert_allclose(square[:half, :half], R[:half, :half], atol=1e-5)
    np.testing.assert_allclose(square[half:, half:], R[half:, half:], atol=1e-5)
    assert not square[:half, half:].any()
    assert np.array_equal(square, cross)
    edge = int(reference.variants["position"][half])
    core, panel = source.select("1", edge, END, END)  # of the second block alone
    assert core.min() >= half
    assert panel.min() >= half


def test_correlations_beyond_the_reach_of_magenpy_are_0(reference: Reference, tmp_path: Path) -> None:
    R, reach = reference.R["1"], 4
    path = write.write_magenpy(tmp_path / "chr_1", R, of_chromosome(reference, "1"), people=PEOPLE, reach=reach)
    source = open_source(path)
    assert source.build == "hg19"  # type: ignore[attr-defined]
    i = np.arange(R.shape[0])
    band = np.where(np.abs(i[:, None] - i) <= reach, R, 0)
    rows, columns = i[5:9], np.concatenate([i[2:7], i[20:25]])
    np.testing.assert_allclose(source.correlation(i, i)[0], band, atol=1e-6)  # type: ignore[attr-defined]
    np.testing.assert_allclose(source.correlation(rows, columns)[1], band[np.ix_(rows, columns)], atol=1e-6)  # type: ignore[attr-defined]


def test_negative_eigenvalues_are_counted_and_said(
    reference: Reference, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    R = reference.R["1"].copy()
    R[np.abs(R) < 0.5] = 0  # thresholded, as no covariance is
    lowest = np.linalg.eigvalsh(R)
    source = open_source(write.write_square(tmp_path / "x.npy", R, of_chromosome(reference, "1")), num_people=PEOPLE)
    panel = build_panel(source, tmp_path / "P.ld.zarr", PanelConfig(core=END, flank=0, rank_variance=1.0), workers=1)
    clipped = panel.metadata["clipped"]
    assert clipped["windows"] == 1
    assert clipped["eigenvalues"] == int((lowest < -1e-3 * lowest[-1]).sum()) > 0
    assert clipped["lowest"] == pytest.approx(lowest[0] / lowest[-1], rel=1e-4)
    assert "1 of 1 windows have correlations that are not positive semidefinite" in caplog.text


def test_plink2_without_ref_based_refers_to_the_major_allele(reference: Reference, tmp_path: Path) -> None:
    variants = of_chromosome(reference, "1")
    major = np.where(variants["eaf"].to_numpy() > 0.5, 1.0, -1.0)
    R = reference.R["1"] * major[:, None] * major
    path = write.write_square(tmp_path / "x.unphased.vcor1.bin", R, variants)
    (tmp_path / "x.variants.tsv").unlink()
    listed = tmp_path / "with_frequencies.tsv"
    variants.write_csv(listed, separator="\t")
    source = open_source(path, variants=listed, r_allele="major", num_people=PEOPLE)
    i = np.arange(R.shape[0])
    known = np.flatnonzero(variants["eaf"].to_numpy() != 0.5)
    assert source.variants.height == known.size < variants.height
    assert {row["step"]: row["count"] for row in source.ledger}[
        "major allele unknown (frequency 0.5)"
    ] == i.size - known.size
    rows = np.arange(known.size)
    np.testing.assert_allclose(source.correlation(rows, rows)[0], reference.R["1"][np.ix_(known, known)], atol=1e-6)  # type: ignore[attr-defined]


def test_monomorphic_variants_of_plink_are_left_out_and_counted(reference: Reference, tmp_path: Path) -> None:
    R, variants = reference.R["1"].copy(), of_chromosome(reference, "1")
    R[3], R[:, 3] = np.nan, np.nan
    for ending in (".ld", ".ld.bin"):
        source = open_source(write.write_square(tmp_path / f"x{ending}", R, variants), num_people=PEOPLE)
        assert source.variants.height == variants.height - 1
        assert source.ledger[0]["count"] == 1
        i = np.delete(np.arange(R.shape[0]), 3)
        rows = np.arange(i.size)
        np.testing.assert_allclose(source.correlation(rows, rows)[0], R[np.ix_(i, i)], atol=1e-6)  # type: ignore[attr-defined]


def test_rare_variants_are_left_out_where_frequencies_are_known(reference: Reference, tmp_path: Path) -> None:
    """PRS-CS's table has them; a square's list, without them, keeps all and says so."""
    least = float(np.quantile(np.minimum(reference.variants["eaf"], 1 - reference.variants["eaf"]), 0.3))
    rare = int((np.minimum(reference.variants["eaf"], 1 - reference.variants["eaf"]) < least).sum())
    known = open_source(
        write.write_prscs(tmp_path / "ld", reference.R, reference.variants), num_people=PEOPLE, maf=least
    )
    assert known.variants.height == reference.variants.height - rare < reference.variants.height
    assert {row["step"]: row["count"] for row in known.ledger}[f"minor-allele frequency below {least:g}"] == rare
    variants = of_chromosome(reference, "1")
    square = open_source(
        write.write_square(tmp_path / "x.npy", reference.R["1"], variants), num_people=PEOPLE, maf=least
    )
    assert square.variants.height == variants.height
    steps = {row["step"]: row["count"] for row in square.ledger}
    assert steps["frequency not known: kept whatever --maf says"] == variants.height
    assert not any("below" in step for step in steps)


@pytest.mark.parametrize(
    "name",
    [
        "plink text",
        "plink bin4",
        "plink2 bin4",
        "npz",
        "sbayesrc",
        "prscs",
        "magenpy float",
        "magenpy int16 zip",
        "ldpred2",
    ],
)
def test_a_server_s_files_are_those_of_a_folder(
    name: str, reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = opened(name, reference, tmp_path)
    served, scratch = tmp_path / "served", tmp_path / "scratch"
    served.mkdir()
    scratch.mkdir()
    paths = LAYOUTS[name][0](reference, served)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with serving(served) as web:
        addresses = [f"{web}/{path.relative_to(served)}" for path in paths]
        options = {"num_people": PEOPLE} if name in NEED_PEOPLE else {}
        if name.startswith("plink2"):
            options["r_allele"] = "listed"  # type: ignore[assignment]
        source = open_source(addresses, **options)  # type: ignore[arg-type]
        assert isinstance(source, CorrelationSource)
        original, source = source, pickle.loads(pickle.dumps(source))  # as workers get it
        assert source.name == addresses[0]
        assert source.variants.equals(local.variants)
        for chrom in ("1", "2"):
            core, panel = local.select(chrom, 0, END, END)
            for mine, theirs in zip(source.correlation(core, panel), local.correlation(core, panel), strict=True):
                np.testing.assert_array_equal(mine, theirs)
        assert len(list(scratch.glob("*/*/*"))) <= 2  # one file, or folder of magenpy, at a time, of either
    del original  # a worker may end in any way: what it fetched goes with the first process's
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_damaged_files_of_a_server_are_named_by_their_address(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (path,) = LAYOUTS["sbayesrc"][0](reference, tmp_path / "a")
    block = next(path.glob("block*.eigen.bin"))
    block.write_bytes(block.read_bytes()[:-9])
    with serving(tmp_path / "a") as web:
        source = open_source(f"{web}/ld")
        assert isinstance(source, CorrelationSource)
        everything = np.arange(source.variants.height)
        with pytest.raises(FormatError, match=rf"`{web}/ld/{block.name}` has .* bytes, but .* It is truncated"):
            source.correlation(everything, everything)
        (path / "snp.info").unlink()
        with pytest.raises(ConfigError, match=rf"`{web}/ld` lacks snp.info"):
            open_source(f"{web}/ld")


def test_chromosomes_of_a_server_can_be_chosen(reference: Reference, tmp_path: Path) -> None:
    LAYOUTS["prscs"][0](reference, tmp_path)
    with serving(tmp_path) as web:
        source = open_source(f"{web}/ld", num_people=PEOPLE, chrom=("2",))
        assert set(source.variants["chrom"]) == {"2"}
        with pytest.raises(ConfigError, match=r"has no file of chromosome 7"):
            open_source(f"{web}/ld", num_people=PEOPLE, chrom=("7",))


def test_one_chromosome_of_magenpy_on_a_server(reference: Reference, tmp_path: Path) -> None:
    variants = of_chromosome(reference, "1")
    (tmp_path / "ld").mkdir()
    path = write.write_magenpy(tmp_path / "ld" / "chr_1", reference.R["1"], variants, people=PEOPLE)
    local = open_source(path)
    everything = np.arange(local.variants.height)
    with serving(tmp_path) as web:
        source = open_source(f"{web}/ld/chr_1")
        assert source.variants.equals(local.variants)
        here, there = (each.correlation(everything, everything)[0] for each in (local, source))  # type: ignore[attr-defined]
        np.testing.assert_array_equal(here, there)
        with pytest.raises(ConfigError, match=r"has no file of chromosome 7"):
            open_source(f"{web}/ld", chrom=("7",))


def test_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "blocks" / "parts").mkdir(parents=True)
    (tmp_path / "blocks" / "metadata.json").write_text("{}")
    for path in (tmp_path / "x.bcor", "s3://bucket/x.bcor"):
        with pytest.raises(ConfigError, match=r"x.bcor` is of LDstore .*--bcor-to-text"):
            open_source(path)
    for path in (tmp_path / "blocks", "s3://bucket/EUR.bm/", "https://host/EUR.bm"):
        with pytest.raises(ConfigError, match=r"is a block matrix of Hail, .* X.npy"):
            open_source(path)
