"""DataFrames of polars and pandas in place of files: the same numbers, and the same refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cases.simulated_panel import Simulated
from varfx.annotations import read_annotations
from varfx.errors import ConfigError, DataError, FormatError, HarmonisationError, VarfxError
from varfx.gwas import clean
from varfx.gwas.sumstats import read_sumstats
from varfx.io.frames import as_path, as_polars, is_frame
from varfx.prior import SplitConfig, evaluate, evaluate_variances, fit, predict, write_prediction
from varfx.prior.files import PriorInputs
from varfx.prior.inputs import require_builds
from varfx.training import TrainConfig

QUICK = TrainConfig(max_steps=2, check_every=1, warmup_steps=0)
SPLIT = SplitConfig(holdout_chrom=("3",))
GWAS = pl.DataFrame(
    {
        "CHR": ["22", "22", "22"],
        "SNP": ["rs1", "rs2", "rs3"],
        "POS": [1000, 2000, 3000],
        "A1": ["A", "C", "A"],
        "A2": ["G", "T", "C"],
        "N": [1000, 1000, 1000],
        "AF1": [0.25, 0.5, 0.1],
        "BETA": [-0.02, 0.03, 0.01],
        "SE": [0.01, 0.01, 0.01],
        "P": [0.0455, 0.0027, 0.317],
    }
)


def in_pandas(table: pl.DataFrame) -> Any:
    return pd.DataFrame(table.to_dict(as_series=False))


def by_snp(table: pl.DataFrame) -> Any:
    """As users of pandas often keep it: the identifier as index, alleles as categories."""
    frame = in_pandas(table).set_index("SNP")
    return frame.assign(A1=frame["A1"].astype("category"), A2=frame["A2"].astype("category"))


def with_categories(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(pl.col("A1").cast(pl.Categorical))


Form = Callable[[pl.DataFrame], Any]


@pytest.mark.parametrize("form", [lambda table: table, with_categories, in_pandas, by_snp])
def test_a_gwas_in_a_frame_is_read_as_from_a_file(form: Form, tmp_path: Path) -> None:
    GWAS.write_csv(tmp_path / "g.fastGWA", separator="\t")
    from_file, from_frame = clean(tmp_path / "g.fastGWA"), clean(form(GWAS))
    assert from_frame.table.equals(from_file.table)
    assert from_frame.metadata["format"] == "fastGWA"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop("SE", "P"), "."),
        (lambda table: table.with_columns(A1=pl.lit("A"), A2=pl.lit("A")), "alleles"),
        (lambda table: table.with_columns(BETA=pl.lit("high")), "text where a number belongs"),
        (lambda table: table.clear(), "no rows"),
    ],
)
@pytest.mark.parametrize("form", [lambda table: table, in_pandas])
def test_a_bad_frame_is_refused_as_a_bad_file_is(
    change: Callable[[pl.DataFrame], pl.DataFrame], message: str, form: Form, tmp_path: Path
) -> None:
    bad = change(GWAS)
    bad.write_parquet(tmp_path / "g.parquet")
    with pytest.raises(VarfxError, match=message) as of_file:
        clean(tmp_path / "g.parquet")
    with pytest.raises(type(of_file.value)) as of_frame:
        clean(form(bad))
    theirs = str(of_file.value).replace(str(tmp_path / "g.parquet"), "X")
    mine = str(of_frame.value).replace(str(as_path(form(bad))), "X").replace("`DataFrame`", "`X`")
    assert mine == theirs
    assert "\n" not in mine


def test_values_of_several_kinds_and_odd_names_are_refused() -> None:
    mixed: Any = pd.DataFrame({"SNP": ["rs1", 2, {}]})
    with pytest.raises(FormatError, match="column `SNP` holds values of several kinds"):
        as_polars(mixed)
    numbered: Any = pd.DataFrame({0: [1.0]})
    with pytest.raises(FormatError, match="1 columns have names that are no text, first 0"):
        as_polars(numbered)


def test_other_objects_are_no_frames() -> None:
    assert not any(is_frame(each) for each in ("a.tsv", Path("a"), {"a": [1]}, pl.Series([1])))
    assert as_path("a.tsv") == Path("a.tsv")


def test_a_fit_to_frames_is_the_fit_to_their_files(simulated: Simulated, tmp_path: Path) -> None:
    stats, annot = read_sumstats(simulated.height), read_annotations(simulated.annot)
    common = {"model": "linear", "training": QUICK, "split": SPLIT}
    of_files = fit(simulated.panel, simulated.height, tmp_path / "F", annotations=simulated.annot, **common)  # type: ignore[arg-type]
    of_frames = fit(simulated.panel, {"height": stats.table}, tmp_path / "D", annotations=annot.table, **common)  # type: ignore[arg-type]
    assert of_frames.trait_names == of_files.trait_names == ["height"]
    expected = predict(of_files)
    assert predict(of_frames).equals(expected)
    assert predict(of_frames, annotations=in_pandas_singles(annot.table), panel=simulated.panel).height
    result = evaluate(of_frames, sumstats={"height": stats.table}, annotations=annot.table)
    assert result.windows == evaluate(of_files, sumstats=simulated.height, annotations=simulated.annot).windows
    assert evaluate(of_frames).windows == evaluate(of_files).windows
    assert result.frame.height == len(result.windows)
    assert not [note for note in result.notes if "is not the" in note]
    scored = evaluate_variances(in_pandas(expected), like=of_files, sigma2="fit").windows
    write_prediction(expected, tmp_path / "f.tsv", run=of_files)
    from_file = evaluate_variances(tmp_path / "f.tsv", like=of_files, sigma2="fit").windows
    np.testing.assert_allclose([each["gain"] for each in scored], [each["gain"] for each in from_file], rtol=1e-9)


def in_pandas_singles(table: pl.DataFrame) -> Any:
    frame = in_pandas(table)
    return frame.astype({name: "float32" for name, kind in table.schema.items() if kind == pl.Float32})


def test_a_frame_that_is_gone_is_asked_for_again(simulated: Simulated, tmp_path: Path) -> None:
    stats = read_sumstats(simulated.height)
    run = fit(simulated.panel, stats.table, tmp_path / "RUN", model="linear", training=QUICK, split=SPLIT)
    assert run.trait_names == ["trait"]
    Path(run.record["sumstats"][0]).unlink()  # as when the process has ended
    with pytest.raises(DataError, match=r"were a DataFrame\. Give it again as `sumstats`"):
        evaluate(run)
    assert evaluate(run, sumstats=stats.table).windows


def test_annotations_of_any_columns_need_a_panel(simulated: Simulated) -> None:
    table = simulated.open().variants.select(
        "chrom", "position", "effect_allele", "other_allele", score=pl.col("position") * 1.0
    )
    with pytest.raises(ConfigError, match="give `panel` too"):
        PriorInputs.of(annotations=table)
    built = PriorInputs.of(annotations=in_pandas(table), panel=simulated.panel).read_annotations()
    assert built is not None
    assert built.table["score"].to_list() == table["score"].cast(pl.Float32).to_list()


def test_variances_of_another_build_are_refused(simulated: Simulated, tmp_path: Path) -> None:
    run = fit(simulated.panel, simulated.height, tmp_path / "RUN", model="linear", training=QUICK, split=SPLIT)
    other = replace(run, record={**run.record, "build": "hg38"})
    write_prediction(predict(run), tmp_path / "f.parquet", run=other, learned="no")
    assert evaluate_variances(tmp_path / "f.parquet", like=run).windows  # the panel's build is not known
    panel = replace(simulated.open(), metadata={**simulated.open().metadata, "build": "hg19"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("varfx.prior.files.PriorInputs.open_panel", lambda _: panel)
        with pytest.raises(HarmonisationError, match=r"f\.parquet` is of GRCh38 \(hg38\), .* of GRCh37"):
            evaluate_variances(tmp_path / "f.parquet", like=run)


def test_a_chain_file_between_equal_builds_is_refused(simulated: Simulated) -> None:
    panel = replace(simulated.open(), metadata={**simulated.open().metadata, "build": "hg19"})

    class Tracks:
        """Tracks of hg19 with a chain file."""

        class store:
            path, build = Path("T"), "hg19"

        class chain:
            path = Path("hg19ToHg38.over.chain")

    tracks: Any = Tracks
    with pytest.raises(
        HarmonisationError, match=r"are both of GRCh37 \(hg19\), so that the chain file .* Leave --chain"
    ):
        require_builds(panel, None, tracks)
