"""`varfx ld build` as typed."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from cases.command_line import varfx
from cases.ld import haplotype_counts, positions_of, write_bed, write_pgen, write_ukb
from varfx.genotypes.open_ld import open_source
from varfx.ld import PanelConfig, build_panel, open_panel

SMALL = ("--core", 1000, "--flank", 1000, "--workers", 1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a.bed (chromosome 1), b.bed (chromosome 2), c.pgen (chromosome 1) and a UKBB_LD folder."""
    folder, rng = tmp_path_factory.mktemp("reference"), np.random.default_rng(4)
    counts = haplotype_counts(rng, 30, 60)
    sites = positions_of(rng, 60, ["1"])
    write_bed(folder / "a", counts, sites)
    write_bed(folder / "b", haplotype_counts(rng, 30, 40), positions_of(rng, 40, ["2"]))
    write_pgen(folder / "c", counts, sites)
    write_ukb(folder / "ukb", folder / "a.bed", "1", [0, 1000])
    (folder / "ukb" / "chr1_2001_5001.npz2").touch()
    return folder


def test_several_files_make_one_panel(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "P.ld.zarr"
    result = varfx(capsys, "ld", "build", reference / "a.bed", reference / "b", "--out", out, *SMALL)
    assert result.code == 0
    assert "100 variants, 8 windows, 30 individuals, rank " in result.out
    assert "rank rule 0.95, B in float32" in result.out
    assert "minor-allele frequency below 0.01" in result.out
    panel = open_panel(out)
    assert panel.windows["chrom"].unique(maintain_order=True).to_list() == ["1", "2"]
    inputs = {Path(name).name: entry["sha256"] for name, entry in panel.metadata["provenance"]["inputs"].items()}
    assert set(inputs) == {f"{name}.{ending}" for name in "ab" for ending in ("bed", "bim", "fam")}
    assert all(inputs.values())


def test_options_arrive(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, keep = tmp_path / "P.ld.zarr", tmp_path / "keep"
    keep.write_text("".join(f"F{i} I{i}\n" for i in range(20)))
    words = ["--maf", 0.3, "--rank-variance", 1.0, "--dtype", "float64", "--keep", keep]
    result = varfx(capsys, "ld", "build", reference / "c.pgen", "-o", out, *words, *SMALL)
    assert result.code == 0
    panel = open_panel(out)
    assert panel.num_people == 20
    assert panel.metadata["config"] == {
        "core": 1000,
        "flank": 1000,
        "rank_variance": 1.0,
        "dtype": "float64",
        "storage": "full",
    }
    assert panel.variants["eaf"].min() >= 0.3  # type: ignore[operator]
    assert {Path(name).suffix for name in panel.metadata["provenance"]["inputs"]} == {".pgen", ".pvar", ".psam", ""}


def test_missing_regions_are_named(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "P.ld.zarr"
    result = varfx(capsys, "ld", "build", reference / "ukb", "--num-people", 30, "--out", out, *SMALL)
    assert result.code == 0
    assert "missing: chr1:3000-5000: chr1_2001_5001: only an .npz2 file, a region of long-range LD" in result.out
    assert open_panel(out).windows["start"].to_list() == [0, 1000, 2000]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--core", "0"], "`core` must be positive and `flank` not negative, got 0 and 1000000."),
        (["--rank-variance", "2"], "`rank-variance` must be above 0 and at most 1, got 2.0."),
        (
            ["--dtype", "int8"],
            'Invalid value "int8" for --dtype. Choose from: "auto", "float16", "float32", "float64".',
        ),
        (["--workers", "0"], "`workers` must be at least 1, got 0. Leave it out for one per processor."),
        (["--num-people", "5"], "`num_people` is for matrices of correlations, but"),
        (["--maf", "0.7"], "`maf`"),
        (["--unknown", "1"], "--unknown"),
    ],
)
def test_mistaken_options_are_one_line(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    result = varfx(capsys, "ld", "build", reference / "a.bed", "--out", tmp_path / "P.ld.zarr", *words)
    assert message in result.error
    assert not list(tmp_path.iterdir())


def broken(folder: Path, name: str) -> Path:
    """A reference with one fault; returns what is given to the command."""
    if name in ("magic", "short"):
        path = folder / "a.bed"
        body = path.read_bytes()
        path.write_bytes(b"\x00" + body[1:] if name == "magic" else body[:-1])
        return path
    region = folder / "ukb" / "chr1_1_3001"
    table = gzip.decompress(Path(f"{region}.gz").read_bytes()).decode().splitlines(keepends=True)
    if name == "table":
        Path(f"{region}.gz").write_bytes(gzip.compress("".join(table[:-1]).encode()))
    elif name == "truncated":
        Path(f"{region}.gz").write_bytes(Path(f"{region}.gz").read_bytes()[:-30])
    else:
        content = dict(np.load(f"{region}.npz"))
        if name == "range":
            content["data"][5] = 1.5
        else:  # both triangles, which disagree
            strictly = content["row"] > content["col"]
            pairs = {
                "row": content["col"][strictly],
                "col": content["row"][strictly],
                "data": content["data"][strictly] / 2,
            }
            content |= {key: np.concatenate([content[key], value]) for key, value in pairs.items()}
        np.savez(f"{region}.npz", **content)
    return folder / "ukb"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("magic", "is not a PLINK .bed file: it begins with the bytes 00 1b"),
        ("short", "a.bed"),
        ("table", "correlations, but"),
        ("truncated", "is damaged or truncated"),
        ("range", "correlations are NaN or outside -1 to 1, first 1.5 in row"),
        ("asymmetric", "is asymmetric: "),
    ],
)
def test_bad_references_are_one_line_and_leave_nothing(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    folder = Path(shutil.copytree(reference, tmp_path / "reference"))
    (folder / "ukb" / "chr1_2001_5001.npz2").unlink()
    source = broken(folder, name)
    out = tmp_path / "out"
    out.mkdir()
    assert message in varfx(capsys, "ld", "build", source, "--out", out / "P.ld.zarr", *SMALL).error
    assert not list(out.iterdir())


def test_a_folder_of_others_is_refused(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    result = varfx(capsys, "ld", "build", reference / "a.bed", "--out", tmp_path, *SMALL)
    assert "exists and is no panel. Choose another --out." in result.error
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_python_and_the_command_line_keep_the_same_directions(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once `build_panel` kept all of them, `varfx ld build` 95 %."""
    panel = build_panel(
        open_source(reference / "a.bed"), tmp_path / "P.ld.zarr", PanelConfig(core=1000, flank=1000), workers=1
    )
    assert panel.metadata["config"]["rank_variance"] == 0.95
    result = varfx(capsys, "ld", "build", reference / "a.bed", "--out", tmp_path / "Q.ld.zarr", *SMALL)
    assert result.code == 0
    assert open_panel(tmp_path / "Q.ld.zarr").windows.equals(panel.windows)
