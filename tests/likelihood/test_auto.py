"""The choice of an engine: its arithmetic, what it may change, and a cache that may be damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from varfx.errors import ConfigError
from varfx.ld import WhitenedWindow
from varfx.likelihood import cost_model, evaluate, exact, stochastic
from varfx.likelihood.auto import choose
from varfx.likelihood.cost_model import CostModel, calibrated
from varfx.likelihood.exact import operations

ENGINES = ("exact rank", "exact symmetric", "stochastic")
MEASURED = CostModel(
    {
        "exact rank": (2e-4, 1e-10, 1e-9),
        "exact symmetric": (2e-4, 1e-10, 1e-9),
        "stochastic": (2e-3, 3e-10, 1e-9),
        "stochastic, converted": (2e-3, 4e-10, 2e-9),
    }
)


def window_of(
    rank: int, panel: int, *, stored: int | None = None, dtype: torch.dtype = torch.float32
) -> WhitenedWindow:
    generator = torch.Generator().manual_seed(1)
    rows = stored or rank
    B = torch.randn(rows, panel, generator=generator).div(panel**0.5).to(dtype)
    T = None if stored is None else torch.linalg.qr(torch.randn(stored, rank, generator=generator)).Q.T
    return WhitenedWindow(B=B, w=torch.randn(rank, generator=generator), T=T)


def only(engine: str) -> CostModel:
    """Costs by which one engine is the cheapest for every window."""
    names = (*ENGINES, "stochastic, converted")
    return CostModel({name: (0.0 if name.startswith(engine) else 1.0, 0.0, 0.0) for name in names})


def test_small_windows_are_exact_and_large_ones_stochastic() -> None:
    for rank, panel, expected in ((50, 150, "exact rank"), (1500, 9000, "stochastic"), (100, 100, "exact symmetric")):
        window = WhitenedWindow(B=torch.empty(rank, panel), w=torch.empty(rank))
        assert choose(window, dtype=torch.float32, costs=MEASURED) == expected, (rank, panel)


@pytest.mark.parametrize("engine", ENGINES)
def test_choice_is_the_least_predicted_time(engine: str) -> None:
    assert choose(window_of(30, 90), dtype=torch.float32, costs=only(engine)) == engine


def test_predictions_are_the_model() -> None:
    seconds = MEASURED.seconds(100, 300)
    assert seconds["exact rank"] == pytest.approx(
        2e-4 + 1e-10 * (5 / 8 * 100**2 * 300 + 100**3 / 2 + 100**2 * 300 / 2) + 1e-9 * 100 * 300
    )
    assert seconds["stochastic"] == pytest.approx(2e-3 + 3e-10 * 13 * 100 * 300 * 9 + 1e-9 * 100 * 300)
    converted = MEASURED.seconds(100, 300, converted=True)
    assert converted["exact rank"] == seconds["exact rank"]
    assert converted["stochastic"] == pytest.approx(2e-3 + 4e-10 * 13 * 100 * 300 * 9 + 2e-9 * 100 * 300)


@given(
    rank=st.integers(1, 5000),
    extra=st.integers(0, 20_000),
    gradient_error=st.floats(0.001, 1.0),
    cut=st.integers(0, 50),
)
def test_more_work_never_takes_less_time(rank: int, extra: int, gradient_error: float, cut: int) -> None:
    panel = rank + extra
    seconds = MEASURED.seconds(rank, panel, gradient_error=gradient_error)
    for harder in (
        MEASURED.seconds(rank, panel + 1, gradient_error=gradient_error),
        MEASURED.seconds(rank, panel, gradient_error=gradient_error / 2),
        MEASURED.seconds(rank, panel, gradient_error=gradient_error, rewhitened=rank + cut),
    ):
        assert all(harder[engine] >= seconds[engine] for engine in seconds)


def test_a_gpu_is_measured_on_windows_that_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """2e9 multiplications take it no longer than to start; and each run is waited for, the one that warms up too."""
    done: list[tuple[int, int] | str] = []

    def window(rank: int, num_variants: int, *rest: object) -> tuple[WhitenedWindow, torch.Tensor]:
        B = torch.empty(rank, num_variants, device="meta")
        return WhitenedWindow(B=B, w=torch.empty(rank, device="meta")), torch.empty(num_variants, device="meta")

    def run(window: WhitenedWindow, *rest: object, **options: object) -> None:
        done.append((window.rank, window.num_variants))

    monkeypatch.setattr(cost_model, "_window", window)
    monkeypatch.setattr(cost_model, "exact", run)
    monkeypatch.setattr(cost_model, "stochastic", run)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append("wait"))
    cost_model.measure(torch.float32, torch.device("cuda"))
    assert "wait" not in done[::2]
    assert set(done[1::2]) == {"wait"}
    timed = {shape for shape in done[::2] if isinstance(shape, tuple)}
    assert max(operations(*shape)["rank"] for shape in timed) > 1e11
    assert min(operations(*shape)["rank"] for shape in timed) < 1e7


def test_shape_storage_and_T_are_seen() -> None:
    seen = []

    class Spy(CostModel):
        def seconds(self, rank: int, num_variants: int, **options: object) -> dict[str, float]:  # type: ignore[override]
            seen.append((rank, num_variants, options))
            return {"stochastic": 0.0}

    spy = Spy(MEASURED.coefficients)
    choose(window_of(20, 90), dtype=torch.float32, costs=spy)
    choose(window_of(20, 90, stored=25, dtype=torch.float16), dtype=torch.float32, gradient_error=0.3, costs=spy)
    choose(replace(window_of(20, 90), kept=False), dtype=torch.float32, costs=spy)
    assert seen == [
        (20, 90, {"rewhitened": None, "converted": False, "kept": True, "gradient_error": 0.1}),
        (20, 90, {"rewhitened": 25, "converted": True, "kept": True, "gradient_error": 0.3}),
        (20, 90, {"rewhitened": None, "converted": False, "kept": False, "gradient_error": 0.1}),
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stored", [None, 35])
def test_the_choice_changes_results_within_the_error_only(engine: str, stored: int | None) -> None:
    window = window_of(30, 120, stored=stored)
    F = torch.rand(120, generator=torch.Generator().manual_seed(2))
    truth = exact(window, F.double(), 1.0)
    chosen = evaluate(window, F, 1.0, generator=torch.Generator().manual_seed(3), costs=only(engine))
    assert chosen.engine.startswith("stochastic" if engine == "stochastic" else "exact (")
    if engine == "stochastic":
        again = stochastic(window, F, 1.0, generator=torch.Generator().manual_seed(3))
        assert torch.equal(chosen.grad_F, again.grad_F)
        assert abs(float(chosen.log_p - truth.log_p)) < 5 * chosen.log_p_stderr
    else:
        assert engine.removeprefix("exact ") in chosen.engine
        torch.testing.assert_close(chosen.grad_F, truth.grad_F.float(), rtol=1e-3, atol=1e-4)


def test_an_engine_by_name_needs_no_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("varfx.likelihood.auto.calibrated", None)
    window, F = window_of(20, 60), torch.rand(60)
    assert evaluate(window, F, 1.0, engine="exact").engine.startswith("exact")
    generator = torch.Generator().manual_seed(1)
    result = evaluate(window, F, 1.0, engine="stochastic", generator=generator, dtype=torch.float64, gradient_error=0.5)
    assert result.engine == "stochastic (float64, 8 probes)"


def test_wrong_arguments_are_named() -> None:
    window, F = window_of(5, 9), torch.ones(9)
    with pytest.raises(ConfigError, match=r"`engine` must be auto, exact, stochastic, got 'fast'\."):
        evaluate(window, F, 1.0, engine="fast")  # type: ignore[arg-type]
    for engine in ("auto", "stochastic"):
        with pytest.raises(ConfigError, match=f"`generator` must be given for engine {engine}"):
            evaluate(window, F, 1.0, engine=engine)  # type: ignore[arg-type]


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[torch.dtype]:
    """Measurements are replaced by a list of what was asked for; the cache is in `tmp_path` and its memory empty."""
    asked: list[torch.dtype] = []

    def measure(dtype: torch.dtype, device: torch.device) -> CostModel:
        asked.append(dtype)
        return MEASURED

    monkeypatch.setattr(cost_model, "measure", measure)
    monkeypatch.setenv("VARFX_CACHE", str(tmp_path / "cache"))
    cost_model._calibrated.cache_clear()
    return asked


def again() -> CostModel:
    cost_model._calibrated.cache_clear()  # as a new process
    return calibrated(torch.float32)


def test_this_machine_is_measured_once(measurements: list[torch.dtype], tmp_path: Path) -> None:
    assert calibrated(torch.float32) == MEASURED
    assert again() == MEASURED
    assert measurements == [torch.float32]
    calibrated(torch.float64)
    assert measurements == [torch.float32, torch.float64]
    assert again() == MEASURED
    content = json.loads((tmp_path / "cache" / "engine_costs.json").read_text())
    assert len(content["machines"]) == 2
    assert all(f"torch {torch.__version__}" in key and "cpu" in key for key in content["machines"])


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe", b"[1]", b'{"format": 0, "machines": {}}', b'{"format": 1, "machines": 3}', "key", "number", "negative", "nan"],
)  # fmt: skip
def test_a_damaged_cache_is_measured_anew_and_mended(
    measurements: list[torch.dtype], tmp_path: Path, damage: bytes | str
) -> None:
    path = tmp_path / "cache" / "engine_costs.json"
    calibrated(torch.float32)
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        content = json.loads(path.read_text())
        (machine,) = content["machines"].values()
        match damage:
            case "key":
                del machine["stochastic"]
            case "number":
                machine["stochastic"] = ["fast", 1, 1]
            case "negative":
                machine["exact rank"][1] = -1e-9
            case "nan":
                machine["exact rank"][1] = float("nan")
        path.write_text(json.dumps(content))
    assert again() == MEASURED
    assert len(measurements) == 2
    assert again() == MEASURED
    assert len(measurements) == 2


def test_a_cache_that_cannot_be_written_is_done_without(measurements: list[torch.dtype], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert calibrated(torch.float32) == MEASURED
    assert calibrated(torch.float32) == MEASURED
    assert len(measurements) == 1


def test_measured_costs_are_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_model, "SHAPES", ((20, 60), (60, 60), (40, 300), (100, 300)))
    costs = cost_model.measure(torch.float32, torch.device("cpu"))
    assert set(costs.coefficients) == {*ENGINES, "stochastic, converted"}
    assert CostModel.from_json(json.loads(json.dumps(costs.to_json()))) == costs
    for engine, seconds in costs.seconds(50, 150).items():
        assert 1e-6 < seconds < 1, engine


def test_fit_finds_the_coefficients_that_made_the_times() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(12):
        count, entries = 10 ** rng.uniform(4, 9), 10 ** rng.uniform(3, 6)
        rows.append((1e-3 + 2e-10 * count + 3e-9 * entries, count, entries))
    assert cost_model._fitted(rows) == pytest.approx((1e-3, 2e-10, 3e-9))
