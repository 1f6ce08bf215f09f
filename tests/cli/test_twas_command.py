"""`varfx expr export` and `varfx twas` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.command_line import varfx
from cases.simulated_panel import write_bed
from cases.variants import linear_run, some_weights
from varfx.expression.cohort.store import open_cohort
from varfx.genotypes.open_ld import open_source
from varfx.gwas.sumstats import SCHEMA, SumStats
from varfx.ld import PanelConfig, build_panel


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and a panel and a trait on the variants of its chromosome 22."""
    folder = tmp_path_factory.mktemp("twas")
    cohort = open_cohort(small_cohort(folder, window=256, people=60))
    linear_run(folder / "RUN", cohort, {"elastic-net": some_weights(cohort, 6)})
    rows = (cohort.variants["chrom"] == "22").to_numpy()
    table = cohort.variants.filter(pl.Series(rows))
    counts = cohort.genotypes(slice(0, cohort.variants.height))[0][rows].T
    write_bed(folder / "ref", counts, ["22"] * table.height, table["position"].to_numpy())
    bim = [
        f"22\t{r['variant_id']}\t0\t{r['position']}\t{r['effect_allele']}\t{r['other_allele']}"
        for r in table.iter_rows(named=True)
    ]
    (folder / "ref.bim").write_text("\n".join(bim) + "\n")
    source = open_source([folder / "ref.bed"], maf=0.0)
    panel = build_panel(
        source, folder / "P.ld.zarr", PanelConfig(rank_variance=1.0), workers=1, inputs=[folder / "ref.bed"]
    )
    columns = panel.variants.select("chrom", "position", "variant_id", "effect_allele", "other_allele", "eaf")
    z = pl.Series([float(k % 5) for k in range(columns.height)])
    made = columns.with_columns(z=z, n=pl.lit(1e4), info=pl.lit(None, pl.Float64)).select(*SCHEMA)
    SumStats(table=made, trait="height").write(folder / "S.parquet")
    return folder


def test_from_run_to_genes(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, out, record = tmp_path / "W.db", tmp_path / "T.tsv", tmp_path / "T.json"
    done = varfx(capsys, "expr", "export", study / "RUN", "--out", weights)
    assert done.code == 0, done.err
    assert "elastic-net of fold 0: 4 genes" in done.out
    assert f"next: varfx twas --weights {weights}" in done.out
    words = ("--sumstats", study / "S.parquet", "--panel", study / "P.ld.zarr", "--palindromes", "keep")
    done = varfx(capsys, "twas", "--weights", weights, *words, "--out", out, "--json", record)
    assert done.code == 0, done.err
    assert "2 genes against height" in done.out
    assert "note: 2 genes have no test, first ENSG00000000000" in done.out
    table = pl.read_csv(out, separator="\t")
    assert table["gene"].to_list() == ["ENSG00000000002", "ENSG00000000003"]
    content = json.loads(record.read_text())
    assert set(content["untested"]) == {"ENSG00000000000", "ENSG00000000001"}
    assert set(content["provenance"]["inputs"]) == {"weights", "sumstats", "panel"}
    for path, kind in ((weights, "PredictDB"), (out, "associations of genes"), (record, "counts of associations")):
        assert kind in varfx(capsys, "info", path).out


def test_mistakes(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--sumstats", study / "S.parquet", "--panel", study / "P.ld.zarr", "--out", tmp_path / "T.tsv")
    assert "does not exist. Give a PredictDB" in varfx(capsys, "twas", "--weights", tmp_path / "none", *words).error
    assert "is no POS file" in varfx(capsys, "twas", "--weights", study / "ref.bim", *words).error
    line = varfx(capsys, "expr", "export", study / "RUN", "--format", "x", "--out", tmp_path / "W.db").error
    assert "predictdb" in line
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
