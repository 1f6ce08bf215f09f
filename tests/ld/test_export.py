"""LD written for other tools and read back: the same variants, alleles and likelihoods."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cases.ld import haplotype_counts, positions_of, write_bed
from varfx.cli.app import run
from varfx.errors import ConfigError, StoreError
from varfx.genotypes.open_ld import open_source
from varfx.ld import LDPanel, PanelConfig, WhitenedWindow, build_panel, open_panel
from varfx.ld.config import ExportFormat
from varfx.ld.export import export_panel
from varfx.likelihood import exact

PEOPLE, END = 120, 4000
WHOLE = PanelConfig(core=END, flank=0, rank_variance=1.0, dtype="float64")
TOLERANCE = {"npz": 5e-5, "plink": 5e-5, "prscs": 5e-5, "sbayesrc": 2e-4}


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> LDPanel:
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("panel")
    bed = write_bed(folder / "ref", haplotype_counts(rng, PEOPLE, 80), positions_of(rng, 80, ["1", "2"], END))
    return build_panel(open_source(bed), folder / "P.ld.zarr", WHOLE, workers=1)


def sources(out: Path, form: str) -> list[Path]:
    return sorted(out.glob({"npz": "*.npz", "plink": "*.ld.bin"}[form])) if form in ("npz", "plink") else [out]


@pytest.fixture(scope="module")
def z(panel: LDPanel) -> np.ndarray:
    """Associations of the alleles that sort first."""
    rng, towards = np.random.default_rng(8), signs(panel)
    z = np.zeros(panel.variants.height)
    for index in range(len(panel.cores)):
        window = panel.window(index)
        lam, V = window.factors.lam, window.factors.V
        z[window.core_rows] = V @ (lam * rng.standard_normal(lam.size) + np.sqrt(lam) * rng.standard_normal(lam.size))
    return z * towards


def signs(panel: LDPanel) -> np.ndarray:
    return np.where((panel.variants["effect_allele"] < panel.variants["other_allele"]).to_numpy(), 1.0, -1.0)


def log_ps(panel: LDPanel, z: np.ndarray) -> list[float]:
    found = []
    z = z * signs(panel)
    for index in range(len(panel.cores)):
        window = panel.window(index)
        factors = window.factors
        w = (factors.V / np.sqrt(factors.lam)).T @ z[window.core_rows]
        F = 0.1 + (panel.variants["position"].to_numpy()[window.panel_rows] % 7) / 7
        whitened = WhitenedWindow(B=torch.from_numpy(factors.B).double(), w=torch.from_numpy(w))
        found.append(float(exact(whitened, torch.from_numpy(F), 1.1).log_p))
    return found


@pytest.mark.parametrize("form", TOLERANCE)
def test_read_back_it_has_the_same_likelihood(
    form: ExportFormat, panel: LDPanel, z: np.ndarray, tmp_path: Path
) -> None:
    record = export_panel(panel, tmp_path / "OUT", form)
    assert record["variance_lacking"]["largest"] < 1e-6  # V is kept in float32
    people = {} if form == "sbayesrc" else {"num_people": PEOPLE}
    source = open_source(sources(tmp_path / "OUT", form), **people)  # type: ignore[arg-type]
    assert source.num_people == PEOPLE
    again = build_panel(source, tmp_path / "Q.ld.zarr", WHOLE, workers=1)
    columns = ["chrom", "position", "variant_id", "effect_allele", "other_allele"]
    assert again.variants.select(columns).equals(panel.variants.select(columns))
    if form in ("npz", "sbayesrc"):
        assert again.variants["eaf"].equals(panel.variants["eaf"])
    np.testing.assert_allclose(log_ps(again, z), log_ps(panel, z), rtol=0, atol=TOLERANCE[form])


def test_a_truncated_panel_has_its_diagonal_completed_or_its_eigenpairs(panel: LDPanel, tmp_path: Path) -> None:
    bed = panel.path.parent / "ref.bed"
    config = PanelConfig(core=2000, flank=500, rank_variance=0.8, dtype="float64")
    cut = build_panel(open_source(bed), tmp_path / "P.ld.zarr", config, workers=1)
    record = export_panel(cut, tmp_path / "SQUARES", "npz")
    export_panel(cut, tmp_path / "PAIRS", "sbayesrc")
    assert record["cores"] == len(cut.cores)
    window = cut.window(1)
    U = window.factors.V * np.sqrt(window.factors.lam)
    R = np.load(tmp_path / "SQUARES" / f"{cut.cores[1].name}.npz")["R"]
    np.testing.assert_allclose(R - np.diag(np.diag(R)), U @ U.T - np.diag(np.diag(U @ U.T)), atol=1e-7)
    assert (np.diag(R) == 1).all()
    lost = 1 - np.concatenate(
        [(cut.window(i).factors.V ** 2 * cut.window(i).factors.lam).sum(1) for i in range(record["cores"])]
    )
    assert record["variance_lacking"]["mean"] == pytest.approx(lost.mean(), abs=1e-6)
    again = build_panel(
        open_source(tmp_path / "PAIRS"),
        tmp_path / "Q.ld.zarr",
        PanelConfig(core=2000, flank=0, rank_variance=1.0),
        workers=1,
    )
    np.testing.assert_allclose(again.window(1).factors.lam[: window.factors.lam.size], window.factors.lam, rtol=1e-5)


def test_what_a_layout_cannot_say_is_refused(panel: LDPanel, tmp_path: Path) -> None:
    (tmp_path / "OUT").mkdir()
    with pytest.raises(StoreError, match="exists: it is not replaced"):
        export_panel(panel, tmp_path / "OUT", "npz")
    later = LDPanel(panel.path, panel.variants, panel.windows, {**panel.metadata, "build": "hg38"})
    with pytest.raises(ConfigError, match="is of GRCh38, but readers of prscs take positions for GRCh37"):
        export_panel(later, tmp_path / "X", "prscs")
    unknown = LDPanel(
        panel.path, panel.variants.with_columns(eaf=pl.lit(None, pl.Float64)), panel.windows, panel.metadata
    )
    with pytest.raises(ConfigError, match="lacks the frequency of 80 of 80 variants, which sbayesrc holds"):
        export_panel(unknown, tmp_path / "X", "sbayesrc")
    alike = LDPanel(panel.path, panel.variants.with_columns(variant_id=pl.lit("rs1")), panel.windows, panel.metadata)
    with pytest.raises(ConfigError, match="80 variants share a name, first rs1"):
        export_panel(alike, tmp_path / "X", "prscs")
    assert not (tmp_path / "X").exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["OUT"]


def test_from_the_command_line(panel: LDPanel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "OUT"
    assert run(["ld", "export", str(panel.path), "--format", "plink", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "80 variants in 2 blocks, plink; LD of 120 individuals" in said
    assert "--num-people 120 reads it back" in said
    assert json.loads((out / "export.json").read_text())["exported"] == "plink"
    assert run(["info", str(out)]) == 0
    assert "LD for another tool (varfx ld export)" in capsys.readouterr().out
    assert run(["ld", "export", str(panel.path), "--format", "plink", "--out", str(out)]) == 2
    assert open_panel(panel.path).windows.height == 2
