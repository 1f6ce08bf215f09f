"""Windows of tracks, base by base against a slow oracle; averages; variants without a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from cases.tracks import SMALL, raster, use_small_genome, write_bigwig
from varfx.errors import ConfigError, DataError
from varfx.genome.liftover import ChainFile, read_chain
from varfx.genome.variants import SCHEMA
from varfx.tracks import gather as gather_module
from varfx.tracks.average import average_tracks
from varfx.tracks.build import build_tracks
from varfx.tracks.gather import TrackGather
from varfx.tracks.manifest import TrackSpec
from varfx.tracks.panel import PanelTracks
from varfx.tracks.store import TrackStore

# Whole numbers are stored exactly, so that windows must be equal to the last bit of float32.
FIRST = [("1", start, start + 3, float(start % 97)) for start in range(0, 2009, 4)] + [("2", 0, 700, 5.0)]
SECOND = [("1", 40, 90, 3.0), ("1", 95, 96, 9.0), ("1", 1990, 2011, 1.0)]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]),
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackStore:
    use_small_genome(monkeypatch)
    first, second = write_bigwig(tmp_path / "a.bw", FIRST), write_bigwig(tmp_path / "b.bw", SECOND)
    specs = [
        TrackSpec(name="half", file=second, kind="bigwig", store="float16"),
        TrackSpec(name="masked", file=first, kind="bigwig", missing="mask"),
        TrackSpec(name="half masked", file=second, kind="bigwig", store="float16", missing="mask"),
        TrackSpec(name="zero", file=second, kind="bigwig"),
        TrackSpec(name="constant", file=write_bigwig(tmp_path / "c.bw", [("1", 0, 2011, 4.0)]), kind="bigwig"),
    ]
    return build_tracks(specs, tmp_path / "T.tracks.zarr", build="hg19", workers=1)


def signal(track: str, chrom: str, base: int) -> float:
    """The value of one 0-based base; NaN where missing."""
    runs = {"masked": FIRST, "constant": [("1", 0, 2011, 4.0)]}.get(track, SECOND)
    if not 0 <= base < SMALL["hg19"][chrom]:
        return float("nan")
    value = raster(runs, chrom)[base]
    return float(value) if "masked" in track else float(np.nan_to_num(value))


def oracle(store: TrackStore, chrom: str, positions: list[int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised windows and what of them is missing, one base at a time."""
    x = np.zeros((len(positions), len(store.names), width))
    missing = np.zeros(x.shape, dtype=bool)
    means, sds = store.tracks["mean"].to_list(), store.tracks["sd"].to_list()
    for v, position in enumerate(positions):
        for t, name in enumerate(store.names):
            for k in range(width):
                value = signal(name, chrom, (position - 1) - width // 2 + k)
                missing[v, t, k] = np.isnan(value)
                if not np.isnan(value):
                    x[v, t, k] = (value - means[t]) / (sds[t] or 1)
    return x, missing


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("width", [1, 8, 13])
@pytest.mark.parametrize(
    ("chrom", "positions"), [("1", [1, 2, 3, 96, 97, 300, 300, 7, 2005, 2011]), ("2", [700, 350]), ("1", [50])]
)
def test_windows_base_by_base(store: TrackStore, chrom: str, positions: list[int], width: int, device: str) -> None:
    window = TrackGather(store, width=width, device=device, mask_channels=True).load(chrom, np.array(positions))
    expected, missing = oracle(store, chrom, positions, width)
    rows = torch.arange(len(positions)).flip(0)
    got = window.gather(rows).cpu().numpy()
    assert got.shape == (len(positions), 5 + 2, width)
    np.testing.assert_allclose(got[:, :5], expected[::-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got[:, 5:], missing[::-1][:, [1, 2]].astype(float))
    assert (got[:, :5][missing[::-1]] == 0).all()


def test_the_variant_stands_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_genome(monkeypatch)
    peak = write_bigwig(tmp_path / "p.bw", [("1", 499, 500, 1.0)])  # the base of 1-based position 500
    store = build_tracks([TrackSpec(name="p", file=peak, kind="bigwig")], tmp_path / "T", build="hg19", workers=1)
    for width in (1, 2, 7, 256):
        x = TrackGather(store, width=width).load("1", np.array([500, 501])).gather(torch.tensor([0, 1]))
        assert x[0, 0].argmax() == width // 2
        if width > 1:
            assert x[1, 0].argmax() == width // 2 - 1  # the peak is one base before this variant


def test_channels_are_named_in_the_order_of_the_values(store: TrackStore) -> None:
    assert TrackGather(store).channels == store.names
    assert TrackGather(store, mask_channels=True).channels == (*store.names, "masked.missing", "half masked.missing")


def test_micro_batches_do_not_change_anything(store: TrackStore) -> None:
    window = TrackGather(store, width=16).load("1", np.arange(1, 400, 7))
    whole = window.gather(torch.arange(window.num_variants))
    for size in (1, 5, 1000):
        rows, parts = zip(*window.batches(size), strict=True)
        torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
        assert torch.cat(rows).tolist() == list(range(57))


def test_a_stretch_without_gaps(store: TrackStore, tmp_path: Path) -> None:
    specs = [
        TrackSpec(name=f"{kind} {number}", file=tmp_path / f"{kind}.bw", kind="bigwig", store=stored)
        for number, (kind, stored) in enumerate((("b", "float16"), ("a", "uint8"), ("b", "uint8")))
    ]
    whole = build_tracks(specs, tmp_path / "W", build="hg19", workers=1)
    gather = TrackGather(whole, width=8, mask_channels=True, dtype=torch.float64)
    inner, edge = gather.load("1", np.array([50, 60, 95])), gather.load("1", np.array([50, 60, 95, 1]))
    assert (inner.complete, edge.complete) == (True, False)
    torch.testing.assert_close(inner.gather(torch.arange(3)), edge.gather(torch.arange(3)), rtol=0, atol=0)
    torch.testing.assert_close(inner.average()[0], inner.gather(torch.arange(3)).mean(2), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(inner.average()[0], edge.average()[0][:3], rtol=1e-12, atol=1e-12)
    bases = np.nan_to_num(raster(SECOND, "1")[45:53])  # the variant's base, 49, is the fifth of eight
    expected = (bases - whole.tracks["mean"][2]) / whole.tracks["sd"][2]
    np.testing.assert_allclose(inner.gather(torch.tensor([0]))[0, 2], expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_precision_of_the_values(store: TrackStore, dtype: torch.dtype) -> None:
    positions = [3, 50, 96]
    x = TrackGather(store, width=12, dtype=dtype).load("1", np.array(positions)).gather(torch.arange(3))
    assert x.dtype == dtype
    expected = torch.from_numpy(oracle(store, "1", positions, 12)[0])
    torch.testing.assert_close(x.double(), expected, rtol=2 * torch.finfo(dtype).eps + 1e-9, atol=1e-6)


@pytest.mark.parametrize("width", [1, 9, 64])
def test_averages_are_means_of_windows(store: TrackStore, width: int) -> None:
    positions = [1, 30, 92, 97, 1000, 2011]
    placed = np.array([True, True, True, True, False, True])
    window = TrackGather(store, width=width, dtype=torch.float64).load("1", np.array(positions), placed=placed)
    mean, known = window.average()
    expected, missing = oracle(store, "1", positions, width)
    expected[4], missing[4] = 0, True
    np.testing.assert_allclose(mean.numpy(), expected.mean(axis=2), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(known.numpy(), 1 - missing.mean(axis=2), rtol=1e-12)


def test_variants_without_a_place_are_missing_whatever_their_position(store: TrackStore) -> None:
    gather = TrackGather(store, width=8, mask_channels=True)
    placed = np.array([True, False, True])
    x = gather.load("1", np.array([50, 0, 60]), placed=placed).gather(torch.arange(3))
    y = gather.load("1", np.array([50, 1500, 60]), placed=placed).gather(torch.arange(3))
    torch.testing.assert_close(x, y, rtol=0, atol=0)
    assert (x[1, :5] == 0).all()
    assert (x[1, 5:] == 1).all()
    torch.testing.assert_close(x[[0, 2]], gather.load("1", np.array([50, 60])).gather(torch.arange(2)), rtol=0, atol=0)
    nowhere = gather.load("1", np.zeros(2, dtype=np.int64), placed=np.zeros(2, dtype=bool))
    assert (nowhere.gather(torch.arange(2))[:, :5] == 0).all()
    assert (nowhere.average()[1] == 0).all()


def test_scattered_variants_never_get_the_signal_of_another_place(
    store: TrackStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather_module, "MAX_BASES", 400)
    gather = TrackGather(store, width=8)
    chrom = pl.Series(["1", "1", None, "2", "1", "1"], dtype=pl.String)
    x = gather.load_near(chrom, np.array([50, 60, 0, 60, 1500, 70])).gather(torch.arange(6))
    alone = gather.load("1", np.array([50, 60, 70])).gather(torch.arange(3))
    torch.testing.assert_close(x[[0, 1, 5]], alone, rtol=0, atol=0)
    assert (x[[2, 3, 4]] == 0).all()
    assert (gather.load_near(chrom.clear(2), np.zeros(2, dtype=np.int64)).gather(torch.arange(2)) == 0).all()


def test_predictors_are_carried_along(store: TrackStore) -> None:
    gather = TrackGather(store, width=4)
    assert gather.load("1", np.array([5, 6])).predictors.shape == (2, 0)
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    torch.testing.assert_close(gather.load("1", np.array([5, 6]), predictors=values).predictors, values)


def test_host_memory(store: TrackStore) -> None:
    assert TrackGather(store, width=256).host_bytes(1000) == (3 + 2 * 2) * 1256
    # 165 tracks in 8 bits on 3 Mb, as stated in the documentation
    assert 165 * (3_000_000 + 256) < 0.5e9


def test_mistakes(store: TrackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    gather = TrackGather(store, width=8)
    with pytest.raises(ConfigError, match="`width` must be at least 1 base, got 0"):
        TrackGather(store, width=0)
    with pytest.raises(
        DataError, match=r"2 of 3 variants lie outside chromosome 1 \(2011 bases in hg19\), first 1:2012. .* --chain"
    ):
        gather.load("1", np.array([5, 2012, 0]))
    with pytest.raises(
        DataError, match=r"1 of 2 variants lie outside chromosome 1 \(2011 bases in hg19\), first 1:2012"
    ):
        gather.load("1", np.array([5, 2012]))
    gather.load("1", np.array([2005, 2011]))
    with pytest.raises(DataError, match="has no track with data on chromosome X"):
        gather.load("X", np.array([5]))
    monkeypatch.setattr(gather_module, "MAX_BASES", 100)
    with pytest.raises(DataError, match="The variants of a window are 96 bases apart; at most 100 fit"):
        gather.load("1", np.array([5, 100]))


def panel(rows: list[tuple[str, int]]) -> pl.DataFrame:
    return pl.DataFrame([(c, p, f"v{i}", "A", "G", 0.5) for i, (c, p) in enumerate(rows)], schema=SCHEMA, orient="row")


def averages(store: TrackStore, rows: list[tuple[str, int]], width: int) -> np.ndarray:
    """The oracle: means over known bases."""
    out = np.full((len(rows), len(store.names)), np.nan)
    for v, (chrom, position) in enumerate(rows):
        for t, name in enumerate(store.names):
            if chrom in store.lengths:
                values = np.array([signal(name, chrom, position - 1 - width // 2 + k) for k in range(width)])
                out[v, t] = np.mean(values[~np.isnan(values)]) if np.isfinite(values).any() else np.nan
    return out


def test_annotations_are_averages_of_the_signal(
    store: TrackStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("varfx.tracks.places.STRETCH", 64)
    rows = [("2", 300), ("1", 2011), ("1", 50), ("X", 5), ("1", 1), ("1", 50), ("2", 2)]
    built = average_tracks(
        store,
        panel(rows)
        .with_columns(effect_allele=pl.Series(list("ACATAGA")), other_allele=pl.Series(list("GGGGGAG")))
        .with_row_index()
        .filter(pl.col("index") != 5)
        .drop("index"),
        width=10,
    )
    assert built.channels == store.names
    kept = [row for index, row in enumerate(rows) if index != 5]
    got = built.table.select(built.channels).fill_null(np.nan).to_numpy()
    np.testing.assert_allclose(got, averages(store, kept, 10), rtol=1e-5, atol=1e-6)
    assert built.table["position"].to_list() == [position for _, position in kept]
    assert "1 of 6 variants are on chromosomes that no track has" in caplog.text


def test_annotations_by_a_chain_file(store: TrackStore, tmp_path: Path) -> None:
    path = tmp_path / "hg38ToHg19.chain"
    path.write_text(
        "chain 9 chr1 2100 + 100 140 chr1 2011 + 60 100 1\n40\n\nchain 9 chr1 2100 + 150 160 chr2 700 - 0 10 2\n10\n"
    )
    chain: ChainFile = read_chain(path)
    rows = [("1", 101), ("1", 140), ("1", 141), ("1", 151), ("2", 101)]
    built = average_tracks(store, panel(rows), width=4, chain=chain)
    got = built.table.select(built.channels).fill_null(np.nan).to_numpy()
    expected = averages(store, [("1", 61), ("1", 100), ("1", 1), ("2", 700), ("2", 1)], 4)
    expected[[2, 4]] = np.nan  # in no block of any chain
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert built.table["position"].to_list() == [101, 140, 141, 151, 101]  # the panel keeps its own build
    back = tmp_path / "hg19ToHg38.chain"
    back.write_text("chain 9 chr1 2011 + 60 100 chr1 2100 + 100 140 1\n40\n")
    with pytest.raises(DataError, match="leads to hg38, but hg19 is needed"):
        average_tracks(store, panel(rows), chain=read_chain(back))
    with pytest.raises(DataError, match="None of the 1 variants has a value in any track"):
        average_tracks(store, panel([("X", 9)]))


def test_page_locked_blocks_count_with_what_torch_rounds_them_up_to(store: TrackStore) -> None:
    plain = TrackGather(store, width=16, pinned=False)
    pinned = TrackGather(store, width=16, pinned=True)
    for size, held in ((1, 1), (1000, 1024), (1024, 1024), (1025, 2048)):
        assert (plain.held_bytes(size), pinned.held_bytes(size)) == (size, held)
    assert plain.host_bytes(600) <= pinned.host_bytes(600) == pinned.held_bytes(plain.host_bytes(600))


def test_blocks_are_kept_by_the_memory_that_they_hold(store: TrackStore, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"chrom": ["1"] * 40, "position": list(range(100, 500, 10))}
    size = TrackGather(store, width=16).load("1", np.array(table["position"])).num_bytes
    for factor, kept in ((1, True), (2, False)):
        monkeypatch.setattr(TrackGather, "held_bytes", lambda gather, size, factor=factor: factor * size)
        tracks = PanelTracks(store, pl.DataFrame(table), width=16)
        tracks._host_bytes = 2 * tracks._gather.host_bytes(500) + size
        tracks.window(0, np.arange(40), torch.zeros(40, 0), most_bases=500)
        assert (0 in tracks._kept) is kept
