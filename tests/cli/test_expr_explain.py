"""`varfx expr explain` as typed: files, screen, and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.cohort import small_cohort
from cases.command_line import varfx
from cases.variants import linear_run, network_run, random_network, some_weights
from varfx.expression.cohort.store import Cohort, open_cohort

BASES = "ACGT"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cohort]:
    """A run, and a motif that the ALT of a high-scoring variant completes: the reference's own bases with ALT put in."""
    folder = tmp_path_factory.mktemp("explain")
    cohort = open_cohort(small_cohort(folder, window=512, people=60, variants_per_gene=40))
    weights = some_weights(cohort, 10)
    linear_run(folder / "RUN", cohort, {"elastic-net": weights})
    gene = cohort.gene(cohort.genes["gene_id"][0])
    variants, _ = cohort.window_variants(gene.gene_id)
    row = variants.row(int(np.argmax(np.abs(weights[gene.gene_id]))), named=True)
    place = row["position"] - 1 - gene.start
    codes = cohort.reference(gene.gene_id)[place - 5 : place + 7].copy()
    codes[5] = BASES.index(row["effect_allele"])
    lines = [" ".join("0.997" if base == code else "0.001" for base in range(4)) for code in codes]
    (folder / "M.meme").write_text(
        "MEME version 4\n\nMOTIF MADE\nletter-probability matrix: alength= 4 w= 12 nsites= 9\n"
        + "\n".join(lines)
        + "\n"
    )
    (folder / "peaks.bed").write_text(f"chr{gene.chrom}\t{place + gene.start - 20}\t{place + gene.start + 20}\n")
    other = variants.filter(pl.col("position") != row["position"])
    fine = [f"{gene.gene_id} chr{gene.chrom}_{row['position']}_{row['other_allele']}_{row['effect_allele']} 0.99 1"]
    (folder / "FM.tsv").write_text("gene_id variant pip beta\n" + "\n".join(fine) + "\n")
    assert other.height > 10
    (folder / "made.txt").write_text(f"{row['chrom']}:{row['position']}:{row['other_allele']}:{row['effect_allele']}")
    return folder, cohort


def test_all_three(study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = study
    out = tmp_path / "E"
    words = (
        "--motifs",
        folder / "M.meme",
        "--states",
        f"open={folder / 'peaks.bed'}",
        "--eqtl",
        folder / "FM.tsv",
        "--permutations",
        99,
    )
    done = varfx(capsys, "expr", "explain", folder / "RUN", *words, "--out", out)
    assert done.code == 0, done.err
    assert "motifs: " in done.out
    motifs = pl.read_csv(f"{out}.motifs.tsv.gz", separator="\t")
    made = motifs.filter(pl.col("variant") == (folder / "made.txt").read_text()).row(0, named=True)
    assert (made["motif"], made["strand"], made["offset"], made["effect"], made["strong"]) == (
        "MADE",
        "+",
        -5,
        "gain",
        True,
    )
    assert made["pct_alt"] == pytest.approx(1.0)
    table = pl.read_csv(f"{out}.enrichment.tsv", separator="\t")
    assert table["state"].to_list() == ["motif", "open"]
    record = json.loads(Path(f"{out}.eqtl.json").read_text())
    assert record["positives_scored"] == 1
    assert record["sign_accuracy"] in (0.0, 1.0)
    summary = json.loads(Path(f"{out}.json").read_text())
    assert set(summary["provenance"]["inputs"]) == {"scores", "motifs", "eqtl", "states.0"}
    for name, kind in (
        (".motifs.tsv.gz", "motifs of variants"),
        (".enrichment.tsv", "enrichment of variants"),
        (".eqtl.json", "fine-mapped eQTLs"),
    ):
        assert kind in varfx(capsys, "info", f"{out}{name}").out


def test_a_table_of_scores_gives_the_same(
    study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = study
    long = tmp_path / "L.parquet"
    done = varfx(capsys, "expr", "variants", folder / "RUN", "--long", long, "--out", tmp_path / "V.annot.parquet")
    assert done.code == 0, done.err
    words = ("--motifs", folder / "M.meme", "--states", folder / "peaks.bed", "--permutations", 99)
    for source, out in ((folder / "RUN", tmp_path / "A"), (long, tmp_path / "B")):
        done = varfx(capsys, "expr", "explain", source, *words, "--out", out)
        assert done.code == 0, done.err
    for name in (".motifs.tsv.gz", ".enrichment.tsv"):
        assert Path(f"{tmp_path / 'A'}{name}").read_bytes() == Path(f"{tmp_path / 'B'}{name}").read_bytes()
    again = ("expr", "explain", folder / "RUN", *words[2:], "--out", tmp_path / "A")
    line = varfx(capsys, *again).error
    assert "A.motifs.tsv.gz` is there already (3 files of an explanation). Choose another --out" in line
    assert varfx(capsys, *again, "--overwrite").code == 0
    assert sorted(path.name for path in tmp_path.glob("A.*")) == ["A.enrichment.tsv", "A.json"]  # of one explanation


def test_pictures_of_a_network(study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, cohort = study
    network_run(tmp_path / "N", cohort, random_network())
    words = ("--states", folder / "peaks.bed", "--permutations", 9, "--logos", tmp_path / "pictures", "--logo-genes", 2)
    done = varfx(capsys, "expr", "explain", tmp_path / "N", *words, "--out", tmp_path / "E")
    assert done.code == 0, done.err
    assert f"{tmp_path / 'pictures'}: 2 pictures" in done.out
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "pictures").iterdir())
    line = varfx(capsys, "expr", "explain", folder / "RUN", *words, "--out", tmp_path / "F").error
    assert "where a run of `varfx expr fit` is needed" in line
    assert not list(tmp_path.glob("F.*"))


def test_mistakes(study: tuple[Path, Cohort], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = study
    for words, message in (
        ((folder / "RUN",), "give --motifs, --states or --eqtl"),
        ((folder / "RUN", "--motifs", folder / "peaks.bed"), "holds no motif"),
        ((folder / "none", "--states", folder / "peaks.bed"), "does not exist. Give a run, or a table"),
        ((folder / "peaks.bed", "--states", folder / "peaks.bed"), "is not a whole Parquet file"),
        ((folder / "RUN", "--states", folder / "peaks.bed", "--motif-p", 2), "`motif_p` must be in"),
    ):
        assert message in varfx(capsys, "expr", "explain", *words, "--out", tmp_path / "E").error
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
