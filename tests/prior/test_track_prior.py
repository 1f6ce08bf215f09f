"""Priors on tracks, from files to files: matched by name, lifted, averaged for small models, and remembered by the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cases.simulated_panel import Simulated
from cases.simulated_tracks import ENFORMER, LENGTHS, SMALL, SimulatedTracks, simulate_tracks
from varfx.annotations import Annotations, read_annotations
from varfx.errors import ConfigError, DataError, HarmonisationError
from varfx.genome import builds
from varfx.models import ModelConfig
from varfx.prior import Run, SplitConfig, evaluate, fit, open_run, predict, weights
from varfx.tracks.build import build_tracks
from varfx.tracks.manifest import TrackSpec
from varfx.training import TrainConfig

STEPS = TrainConfig(max_steps=3, check_every=3, learning_rate=5e-3, warmup_steps=0, engine="exact")
HOLDOUT = SplitConfig(holdout_chrom=("3",))


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedTracks]:
    yield from simulate_tracks(tmp_path_factory.mktemp("tracks"))


def fitted(simulated: Simulated, store: Path | None, out: Path, model: ModelConfig, **options: object) -> Run:
    settings = {"annotations": simulated.annot, "tracks": store, "training": STEPS, "split": HOLDOUT} | options
    return fit(simulated.panel, [simulated.height], out, model=model, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(simulated: Simulated, tracks: SimulatedTracks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "ENFORMER"
    fitted(simulated, tracks.store, out, ENFORMER)
    return out


@pytest.fixture(scope="module")
def linear(simulated: Simulated, tracks: SimulatedTracks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "LINEAR"
    fitted(simulated, tracks.store, out, ModelConfig(kind="linear", enformer=SMALL))
    return out


def test_the_run_remembers_names_and_numbers_but_no_signal(run: Path, tracks: SimulatedTracks) -> None:
    record = open_run(run).record
    entry = record["tracks"]
    assert (entry["path"], entry["build"], entry["window"]) == (str(tracks.store), "hg19", 16)
    assert [track["name"] for track in entry["tracks"]] == ["a", "b", "c"]
    assert set(entry["tracks"][0]) == {"name", "mean", "sd", "transform", "missing"}
    assert record["model"]["num_tracks"] == 4
    assert record["model"]["enformer"]["width"] == 24
    assert "tracks" in record["provenance"]["inputs"]
    assert len(json.dumps(entry)) < 2000


@pytest.mark.parametrize("which", ["run", "linear"])
def test_tracks_go_by_name(which: str, tracks: SimulatedTracks, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(which)
    own, turned = predict(path)["f"].to_numpy(), predict(path, tracks=tracks.turned)["f"].to_numpy()
    assert np.allclose(own, turned, rtol=1e-6)
    assert own.std() / own.mean() > 1e-3
    with pytest.raises(DataError, match=r"lacks 1 of 3 tracks, first `c`. It has a, b\."):
        predict(path, tracks=tracks.lacking)
    gains = [evaluate(path, tracks=store).traits[0]["gain"] for store in (None, tracks.turned)]
    assert gains[0] == pytest.approx(gains[1], abs=1e-4)


def test_the_run_s_own_standardisation_is_used(run: Path, simulated: Simulated, tracks: SimulatedTracks) -> None:
    """A store whose genome-wide mean and sd differ, because it has more data elsewhere, gives the same f."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(builds.LENGTHS, "hg19", {**LENGTHS, "4": 410_000})  # type: ignore[arg-type]
        specs = []
        for name in "abc":
            more = tracks.folder / f"{name}4.bedgraph"
            more.write_text((tracks.folder / f"{name}.bedgraph").read_text() + "chr4\t0\t400000\t15\n")
            missing = "mask" if name == "c" else "zero"
            specs.append(TrackSpec(name=name, file=more, kind="bedgraph", missing=missing))  # type: ignore[arg-type]
        wider = build_tracks(specs, tracks.folder / "wider.tracks.zarr", build="hg19", workers=1)
        assert wider.tracks["mean"][0] != pytest.approx(open_run(run).record["tracks"]["tracks"][0]["mean"], rel=0.05)
        got = predict(run, tracks=wider.path)["f"].to_numpy()
    assert np.allclose(got, predict(run)["f"].to_numpy(), rtol=1e-5)


def test_other_variants_and_those_without_a_place(run: Path, simulated: Simulated, tmp_path: Path) -> None:
    table = read_annotations(simulated.annot).table
    moved = table[::-1][:50].with_columns(
        chrom=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("9")).otherwise("chrom")
    )
    Annotations(table=moved).write(tmp_path / "B.annot.parquet")
    got = predict(run, annotations=tmp_path / "B.annot.parquet")["f"].to_numpy()
    expected = predict(run)["f"].to_numpy()[::-1][:50]
    assert np.allclose(got[5:], expected[5:], rtol=1e-5)
    assert not np.allclose(got[:5], expected[:5], rtol=1e-5)
    assert np.isfinite(got).all()


def test_weights_follow_the_prior(run: Path, tracks: SimulatedTracks) -> None:
    table = weights(run, tracks=tracks.turned)
    assert table.height == 480
    assert np.allclose(table["beta"].to_numpy(), weights(run)["beta"].to_numpy(), rtol=1e-4, atol=1e-9)


def test_averages_join_the_annotations(linear: Path, simulated: Simulated, tracks: SimulatedTracks) -> None:
    run = open_run(linear)
    assert run.standardiser is not None
    assert run.standardiser.channels[-3:] == ("a", "b", "c")
    assert "active" in run.standardiser.channels
    assert run.model.num_tracks == 0
    assert run.record["tracks"]["read_as"] == "averages"


def test_a_track_with_the_name_of_an_annotation(simulated: Simulated, tracks: SimulatedTracks, tmp_path: Path) -> None:
    table = read_annotations(simulated.annot).table.rename({"active": "b"})
    Annotations(table=table).write(tmp_path / "A.annot.parquet")
    model = ModelConfig(kind="linear", enformer=SMALL)
    with pytest.raises(DataError, match="1 tracks have the name of an annotation, first `b`"):
        fitted(simulated, tracks.store, tmp_path / "RUN", model, annotations=tmp_path / "A.annot.parquet")
    assert not (tmp_path / "RUN").exists()


def test_a_track_made_in_another_way(run: Path, tracks: SimulatedTracks, tmp_path: Path) -> None:
    specs = [TrackSpec(name=name, file=tracks.folder / f"{name}.bedgraph", kind="bedgraph") for name in "abc"]
    build_tracks(specs, tmp_path / "T", build="hg19", workers=1)
    with pytest.raises(DataError, match="track `c` has missing zero, but the model was fitted with mask"):
        predict(run, tracks=tmp_path / "T")


def chain(path: Path, shift: int) -> Path:
    """A chain file from hg19 to hg38 that moves every base on by `shift`."""
    lines = [
        f"chain 1000 chr{chrom} {length} + 0 {length - 1000} chr{chrom} {length + 5000} + {shift} {length - 1000 + shift} {chrom}\n"
        f"{length - 1000}\n\n"
        for chrom, length in LENGTHS.items()
    ]
    path.write_text("".join(lines))
    return path


def test_lifted_variants_read_the_other_build(run: Path, tracks: SimulatedTracks, tmp_path: Path) -> None:
    """The same signals 300 bases on in the other build, and a chain file that says so: the same f."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(builds.LENGTHS, "hg38", {name: size + 5000 for name, size in LENGTHS.items()})  # type: ignore[arg-type]
        specs = []
        for name in "abc":
            rows = [line.split("\t") for line in (tracks.folder / f"{name}.bedgraph").read_text().splitlines()]
            moved = [f"{c}\t{int(start) + 300}\t{int(end) + 300}\t{value}\n" for c, start, end, value in rows]
            (tmp_path / f"{name}.bedgraph").write_text("".join(moved))
            missing = "mask" if name == "c" else "zero"
            specs.append(TrackSpec(name=name, file=tmp_path / f"{name}.bedgraph", kind="bedgraph", missing=missing))  # type: ignore[arg-type]
        build_tracks(specs, tmp_path / "T38", build="hg38", workers=1)
        with pytest.raises(DataError, match=r"is hg38, but the run was fitted with tracks on hg19. Give --chain"):
            predict(run, tracks=tmp_path / "T38")
        path = chain(tmp_path / "hg19ToHg38.over.chain", 300)
        got = predict(run, tracks=tmp_path / "T38", chain=path)["f"].to_numpy()
        assert np.allclose(got, predict(run)["f"].to_numpy(), rtol=1e-5)
        lifted = evaluate(run, tracks=tmp_path / "T38", chain=path).traits[0]["gain"]
    assert lifted == pytest.approx(evaluate(run).traits[0]["gain"], abs=1e-4)


def test_models_and_tracks_that_do_not_go_together(
    simulated: Simulated, tracks: SimulatedTracks, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"`model` enformer reads tracks\. Give them with --tracks"):
        fitted(simulated, None, tmp_path / "RUN", ENFORMER)
    with pytest.raises(ConfigError, match=r"there are no --tracks"):
        fitted(simulated, None, tmp_path / "RUN", ModelConfig(), chain=tmp_path / "x")
    constant = fitted(simulated, tracks.store, tmp_path / "CONSTANT", ModelConfig(kind="constant"))
    assert constant.record["tracks"] is None  # it has no features, of whatever kind
    with pytest.raises(ConfigError, match=r"`tracks` is given, but the run was fitted without tracks"):
        predict(tmp_path / "CONSTANT", tracks=tracks.store)


def test_windows_must_lie_where_tracks_are(simulated: Simulated, tracks: SimulatedTracks, tmp_path: Path) -> None:
    lines = (tracks.folder / "a.bedgraph").read_text().splitlines(keepends=True)
    (tmp_path / "a1.bedgraph").write_text("".join(line for line in lines if line.startswith("chr1\t")))
    specs = [TrackSpec(name="a", file=tmp_path / "a1.bedgraph", kind="bedgraph")]
    build_tracks(specs, tmp_path / "T1", build="hg19", workers=1)
    with pytest.raises(DataError, match=r"windows lie where no track of .*T1` has data, first chr2_"):
        fitted(simulated, tmp_path / "T1", tmp_path / "RUN", ENFORMER)
    assert not (tmp_path / "RUN").exists()


def test_a_chain_between_equal_builds_is_refused_for_other_variants(
    run: Path, simulated: Simulated, tracks: SimulatedTracks, tmp_path: Path
) -> None:
    """The annotations' build, else the run's, is compared with that of the tracks, as where the panel gives the variants."""
    table = read_annotations(simulated.annot).table
    Annotations(table=table, metadata={"build": "hg19"}).write(tmp_path / "A.annot.parquet")
    path = chain(tmp_path / "hg19ToHg38.over.chain", 300)
    with pytest.raises(
        HarmonisationError, match=r"A\.annot\.parquet` and .* are both of GRCh37 \(hg19\), so that the chain"
    ):
        predict(run, annotations=tmp_path / "A.annot.parquet", chain=path)
    Annotations(table=table, metadata={"build": "hg38"}).write(tmp_path / "B.annot.parquet")
    with pytest.raises(HarmonisationError, match=r"tracks.* is of GRCh37 \(hg19\), `.*B\.annot\.parquet` of GRCh38"):
        predict(run, annotations=tmp_path / "B.annot.parquet")  # no chain file between two builds
