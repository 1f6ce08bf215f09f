"""Building a store: order, statistics, refusals, resuming, and other schedulers."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pybigtools
import pytest

from cases.tracks import RUNS, SMALL, raster, use_small_genome, write_bedgraph, write_bigwig
from varfx.errors import ConfigError, DataError, FormatError, StoreError
from varfx.genome.builds import LENGTHS
from varfx.io import sealed_folder, workers
from varfx.tracks import build as track_build
from varfx.tracks.build import Place, Unit, build_tracks, build_unit
from varfx.tracks.manifest import TrackSpec
from varfx.tracks.signals import Kind


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_genome(monkeypatch)


def spec(path: Path, name: str, kind: Kind = "bigwig", **options: str) -> TrackSpec:
    return TrackSpec(name=name, file=path, kind=kind, **options)  # type: ignore[arg-type]


@pytest.fixture
def bigwig(tmp_path: Path, small: None) -> Path:
    return write_bigwig(tmp_path / "a.bw", RUNS)


@pytest.mark.parametrize("missing", ["zero", "mask"])
@pytest.mark.parametrize("stored", ["uint8", "float16"])
def test_statistics_over_the_genome(tmp_path: Path, bigwig: Path, missing: str, stored: str) -> None:
    built = build_tracks(
        [spec(bigwig, "a", missing=missing, store=stored, transform="clip:-1:20,asinh")],
        tmp_path / "T",
        build="GRCh37",
        workers=1,
    )
    signal = np.concatenate([raster(RUNS, chrom) for chrom in ("1", "2")])  # X has no data: it does not count
    t = np.arcsinh(np.clip(np.nan_to_num(signal) if missing == "zero" else signal, -1, 20))
    row = built.tracks.row(0, named=True)
    assert row["mean"] == pytest.approx(np.nanmean(t), rel=1e-6)
    assert row["sd"] == pytest.approx(np.nanstd(t), rel=1e-6)
    assert (row["low"], row["high"]) == pytest.approx((np.nanmin(t), np.nanmax(t)), rel=1e-6)
    assert row["covered"] == np.isfinite(signal).sum()
    assert built.build == "hg19"


def test_manifest_order_is_kept_whatever_the_names(tmp_path: Path, bigwig: Path) -> None:
    names = ["z", "a", "m", "B"]
    built = build_tracks([spec(bigwig, name) for name in names], tmp_path / "T", build="hg19", workers=1)
    assert list(built.names) == names


def test_all_kinds_give_the_same_codes(tmp_path: Path, bigwig: Path) -> None:
    bed = tmp_path / "a.bed"
    bed.write_text("".join(f"chr{c}\t{s}\t{e}\t{v}\n" for c, s, e, v in reversed(RUNS)))
    tracks = [
        spec(bigwig, "bigwig"),
        spec(write_bedgraph(tmp_path / "a.bdg", reversed(RUNS)), "bedgraph", "bedgraph"),
        TrackSpec(name="bed", file=bed, kind="bed", column=4),
    ]
    built = build_tracks(tracks, tmp_path / "T", build="hg19", workers=1)
    codes = built.block("1", 0, 2011).codes
    assert len(set(codes[0])) > 5
    np.testing.assert_array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


def test_wrong_build(tmp_path: Path, bigwig: Path) -> None:
    other = write_bigwig(tmp_path / "other.bw", RUNS, lengths=SMALL["hg38"])
    out = tmp_path / "T"
    with pytest.raises(
        DataError,
        match=r"`.*other.bw` \(track b\): chromosome 1 has 2100 bases, which is its length in hg38, where hg19 has 2011 .*: wrong genome build. 1 of 2 tracks contradict hg19",
    ):
        build_tracks([spec(bigwig, "a"), spec(other, "b")], out, build="hg19")
    with pytest.raises(DataError, match=r"All tracks \(2\) are of hg38, not hg19. .* Give --build hg38"):
        build_tracks([spec(other, "a"), spec(other, "b")], out, build="hg19")
    assert build_tracks([spec(other, "a")], out, build="hg38", workers=1).build == "hg38"
    assert not (tmp_path / "T.building").exists()


def test_refusals(tmp_path: Path, bigwig: Path) -> None:
    out = tmp_path / "T"
    with pytest.raises(ConfigError, match="The track name `a` stands twice"):
        build_tracks([spec(bigwig, "a"), spec(bigwig, "a")], out, build="hg19")
    with pytest.raises(ConfigError, match="There is no track to build"):
        build_tracks([], out, build="hg19")
    with pytest.raises(ConfigError, match="`build` must be hg19"):
        build_tracks([spec(bigwig, "a")], out, build="hg18")
    with pytest.raises(StoreError, match=r"the folder .* does not exist"):
        build_tracks([spec(bigwig, "a")], tmp_path / "no" / "T", build="hg19")
    with pytest.raises(
        DataError, match=r"track `a`: sqrt needs values of at least 0, but 83 bases have others, first -1.25"
    ):
        build_tracks([spec(bigwig, "a", transform="sqrt")], out, build="hg19", workers=1)
    empty = tmp_path / "e.bdg"
    empty.write_text("chr1\t5\t9\tNA\n")
    with pytest.raises(DataError, match=r"track `e`: `.*` has no value on any chromosome"):
        build_tracks([spec(empty, "e", "bedgraph")], tmp_path / "E", build="hg19", workers=1)


def test_damage_found_while_building_names_the_track(tmp_path: Path, small: None) -> None:
    path = write_bigwig(tmp_path / "x.bw", [("1", start, start + 1, float(start % 7)) for start in range(0, 2000, 2)])
    content = bytearray(path.read_bytes())
    content[content.index(b"\x78")] = 0xFF
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"track `x`: .* is damaged or truncated"):
        build_tracks([spec(path, "x")], tmp_path / "T", build="hg19", workers=1)


def test_coarse_storage_is_told(tmp_path: Path, small: None, caplog: pytest.LogCaptureFixture) -> None:
    spiky = write_bigwig(
        tmp_path / "s.bw", [("1", 0, 2000, 1.5), ("1", 2000, 2001, 900.25), ("1", 2001, 2011, 1.5), ("2", 0, 700, 1.5)]
    )
    with caplog.at_level(logging.WARNING, logger="varfx"):
        build_tracks(
            [spec(spiky, "spiky", missing="mask"), spec(spiky, "log", missing="mask", store="float16")],
            tmp_path / "T",
            build="hg19",
            workers=1,
        )
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(
        "track `spiky`: stored to +-1.77, which is 10% of its sd: use `store: float16`"
    )


def test_resumes_after_a_kill(tmp_path: Path, bigwig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [spec(bigwig, "a"), spec(bigwig, "b", missing="mask")]
    whole = build_tracks(tracks, tmp_path / "whole", build="hg19", workers=1)
    done: list[Unit] = []

    def killed(place: Place, unit: Unit) -> Unit:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(unit)
        return build_unit(place, unit)

    monkeypatch.setattr(track_build, "build_unit", killed)
    with pytest.raises(KeyboardInterrupt):
        build_tracks(tracks, tmp_path / "T", build="hg19", workers=1)
    assert not (tmp_path / "T").exists()
    building = tmp_path / "T.building"
    stale = building / "result" / "signal" / "chr2" / ".001.0000.partial"
    stale.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"T\.building` was begun with other options or inputs"):
        build_tracks(tracks[::-1], tmp_path / "T", build="hg19", workers=1)

    later: list[Unit] = []

    def counted(place: Place, unit: Unit) -> Unit:
        later.append(unit)
        return build_unit(place, unit)

    monkeypatch.setattr(track_build, "build_unit", counted)
    resumed = build_tracks(tracks, tmp_path / "T", build="hg19", workers=1)
    assert not set(later) & set(done)
    assert len(later) + len(done) == 6  # two tracks: their file, chromosomes 1 and 2
    assert not building.exists()
    assert not list(resumed.path.rglob(".*.partial"))
    sealed_folder.check_directory(resumed.path)
    for chrom in ("1", "2"):
        np.testing.assert_array_equal(resumed.block(chrom, 0, 700).codes, whole.block(chrom, 0, 700).codes)


def test_a_dask_scheduler_gives_the_same(tmp_path: Path, bigwig: Path) -> None:
    import distributed

    tracks = [spec(bigwig, "a", missing="mask"), spec(bigwig, "b")]
    local = build_tracks(tracks, tmp_path / "L", build="hg19", workers=1)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        seen: list[int] = []
        remote = build_tracks(
            tracks,
            tmp_path / "R",
            build="hg19",
            scheduler=cluster.scheduler_address,
            progress=lambda done, total, what: seen.append(total),
        )
        with pytest.raises(DataError, match="track `b`: sqrt needs"):
            build_tracks(
                [spec(bigwig, "b", transform="sqrt")], tmp_path / "S", build="hg19", scheduler=cluster.scheduler_address
            )
    assert seen == [6] * 6
    assert remote.tracks.equals(local.tracks)
    np.testing.assert_array_equal(remote.block("1", 0, 2011).codes, local.block("1", 0, 2011).codes)


def test_no_scheduler_at_the_address(tmp_path: Path, bigwig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.2)
    with pytest.raises(ConfigError, match=r"`scheduler`: no dask scheduler answers at tcp://127.0.0.1:9"):
        build_tracks([spec(bigwig, "a")], tmp_path / "T", build="hg19", scheduler="tcp://127.0.0.1:9")


@pytest.mark.usefixtures("forked_workers")
def test_worker_processes_on_a_real_chromosome(tmp_path: Path) -> None:
    size = LENGTHS["hg19"]["21"]
    runs = [("21", 16_777_200, 16_777_300, 3.0), ("21", size - 5, size, 7.0)]  # across the first border of shards
    one = write_bigwig(tmp_path / "a.bw", runs, lengths={"21": size})
    two = tmp_path / "b.bed"
    two.write_text("chr21\t40000000\t40000010\n")
    built = build_tracks([spec(one, "a"), spec(two, "b", "bed")], tmp_path / "T", build="hg19", workers=2)
    np.testing.assert_array_equal(built.block("21", 16_777_199, 16_777_302).codes[0], [0, *[3] * 100, 0, 0])
    np.testing.assert_array_equal(built.block("21", size - 6, size + 1).codes[0], [0, *[7] * 5, 255])
    np.testing.assert_array_equal(built.block("21", 39_999_999, 40_000_011).codes[1], [0, *[1] * 10, 0])
    assert built.tracks["mean"][1] == pytest.approx(10 / size)


@pytest.mark.shared_data
def test_real_wrong_build_is_refused_in_one_line(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "tracks"
    wrong = folder / "bigwig_chr9_4000000_6000000_K562_H3K4me3.bigwig"
    right = folder / "bigwig_chr9_4000000_6000000_K562_RNA.bigwig"
    with pytest.raises(DataError) as caught:
        build_tracks([spec(right, "RNA"), spec(wrong, "H3K4me3")], tmp_path / "T", build="hg19")
    assert "\n" not in str(caught.value)
    assert (
        "(track H3K4me3): chromosome 9 has 138394717 bases, which is its length in hg38, where hg19 has 141213431"
        in str(caught.value)
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.shared_data
def test_real_counts_are_stored_exactly(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "tracks" / "GM12878_Stat1.chr22_1-30000000.bigWig"
    built = build_tracks([spec(path, "STAT1")], tmp_path / "T", build="hg19", workers=1)
    start, end = 16_700_000, 17_300_000  # across a border of shards
    expected = pybigtools.open(str(path)).values("chr22", start, end, fillna=0)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(built.block("22", start, end).codes[0], expected)
    assert built.tracks["max_error"].to_list() == [0.0]
    whole = pybigtools.open(str(path)).values("chr22", fillna=0)
    assert built.tracks["mean"][0] == pytest.approx(whole.mean(), rel=1e-9)
    assert built.tracks["sd"][0] == pytest.approx(whole.std(), rel=1e-9)
