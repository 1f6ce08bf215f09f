"""The stochastic engine: unbiased, its error bars true, and on hard windows either right or honest."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.ld import WhitenedWindow, whiten
from varfx.likelihood import LikelihoodResult, exact, stochastic
from varfx.linalg import Outcome

KINDS = ("whole", "fewer associations", "unequal sample sizes")


def window_of(kind: str = "whole", people: int = 150, panel: int = 240) -> WhitenedWindow:
    """Neighbours correlate at 0.9, every tenth variant is in perfect LD with the one before; core is the middle third."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((people, panel))
    for column in range(1, panel):
        X[:, column] = 0.9 * X[:, column - 1] + 0.19**0.5 * X[:, column]
    X[:, 1::10] = X[:, 0::10]
    X = (X - X.mean(0)) / X.std(0)
    R, core = X.T @ X / people, slice(panel // 3, 2 * panel // 3)
    z = R[core] @ (0.3 * rng.standard_normal(panel)) + X[:, core].T @ rng.standard_normal(people) / people**0.5
    B, w, _ = whiten(R[core, core], R[core], z)
    if kind == "whole":
        return WhitenedWindow(B=B, w=w)
    T = torch.linalg.qr(torch.from_numpy(rng.standard_normal((B.shape[0], B.shape[0])))).Q[:-10]
    if kind == "unequal sample sizes":
        T = T * torch.from_numpy(rng.uniform(0.6, 1.1, (B.shape[0] - 10, 1)))
    return WhitenedWindow(B=B, w=T @ w, T=T)


def variances(num: int, mean: float = 0.03, spread: float = 1.0) -> Tensor:
    rng = np.random.default_rng(2)
    return torch.from_numpy(mean * np.exp(spread * rng.standard_normal(num) - spread**2 / 2))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense(window: WhitenedWindow, F: Tensor, sigma2: float) -> tuple[float, Tensor, float]:
    """log p and its gradients by the formulas, in float64: an oracle that shares no code."""
    B = window.B.double() if window.T is None else window.T.double() @ window.B.double()
    w = window.w.double()
    C = (B * F.double()) @ B.T + sigma2 * torch.eye(B.shape[0], dtype=torch.float64)
    inverse = torch.linalg.inv(C)
    log_p = -0.5 * (torch.logdet(C) + w @ inverse @ w + B.shape[0] * np.log(2 * np.pi))
    by_F = 0.5 * ((B.T @ inverse @ w).square() - (B * (inverse @ B)).sum(0))
    by_sigma2 = 0.5 * ((inverse @ w).square().sum() - inverse.trace())
    return float(log_p), by_F, float(by_sigma2)


def error_of(result: LikelihoodResult, by_F: Tensor) -> float:
    return float((result.grad_F.double() - by_F).norm() / by_F.norm())


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_are_unbiased_and_their_errors_true(kind: str) -> None:
    window = window_of(kind)
    F = variances(window.num_variants)
    log_p, by_F, by_sigma2 = dense(window, F, 0.9)
    runs = [stochastic(window, F, 0.9, generator=seeded(seed), num_probes=8, rtol=1e-6) for seed in range(400)]

    gradients = torch.stack([run.grad_F for run in runs])
    of_mean = gradients.std(0) / 400**0.5
    assert (gradients.mean(0) - by_F).norm() < 1.6 * of_mean.norm()
    assert ((gradients.mean(0) - by_F).abs() < 5.5 * of_mean).all()
    scatter = (gradients - by_F).square().sum(1).mean().sqrt() / by_F.norm()
    assert np.mean([run.grad_F_error**2 for run in runs]) ** 0.5 == pytest.approx(float(scatter), rel=0.1)

    for truth, value, stderr in (
        (log_p, [float(run.log_p) for run in runs], [run.log_p_stderr for run in runs]),
        (by_sigma2, [float(run.grad_sigma2) for run in runs], [run.grad_sigma2_stderr for run in runs]),
    ):
        scores = (np.array(value) - truth) / np.array(stderr)
        assert abs(np.mean(value) - truth) < 4 * np.std(value) / 400**0.5
        assert 0.8 < scores.std() < 1.2  # as wide as makes +-1.96 hold 95 %, whatever the number of probes
        assert 0.925 < (abs(scores) < 1.96).mean() < 0.985


def test_the_error_from_two_probes_is_no_understatement() -> None:
    """A slope fitted to the other probe makes the probe at hand look better than it is."""
    window = window_of()
    F = variances(window.num_variants)
    _, by_F, _ = dense(window, F, 0.9)
    runs = [stochastic(window, F, 0.9, generator=seeded(seed), num_probes=2, rtol=1e-6) for seed in range(200)]
    scatter = np.mean([error_of(run, by_F) ** 2 for run in runs]) ** 0.5
    assert 1.1 < np.mean([run.grad_F_error**2 for run in runs]) ** 0.5 / scatter < 1.8


def test_probes_through_few_rows_are_unbiased() -> None:
    """Lengths of probes then vary, and with signs in place of normal numbers their directions would vary with them."""
    B = torch.from_numpy(np.random.default_rng(3).standard_normal((4, 3)))
    T = torch.tensor([[0.7, 0.7, 0, 0], [0, 0, 0.7, 0.7]], dtype=torch.float64)
    window, F = WhitenedWindow(B=B, w=T.sum(1), T=T), torch.full((3,), 5.0, dtype=torch.float64)
    log_p, _, _ = dense(window, F, 1.0)
    runs = [stochastic(window, F, 1.0, generator=seeded(seed), num_probes=4, rtol=1e-8) for seed in range(400)]
    found = np.array([float(run.log_p) for run in runs])
    assert abs(found.mean() - log_p) < 3.5 * found.std() / 400**0.5


def test_error_bars_of_many_probes_are_those_of_a_normal() -> None:
    window = window_of()
    F = variances(window.num_variants)
    log_p, _, _ = dense(window, F, 1.0)
    runs = [stochastic(window, F, 1.0, generator=seeded(seed), num_probes=30) for seed in range(200)]
    scores = np.array([(float(run.log_p) - log_p) / run.log_p_stderr for run in runs])
    assert abs(scores.mean()) < 4 / 200**0.5
    assert 0.85 < scores.std() < 1.2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_requested_gradient_error_is_met(kind: str, dtype: torch.dtype) -> None:
    window = window_of(kind).to(dtype=dtype)
    F = variances(window.num_variants, mean=0.1).to(dtype)
    _, by_F, _ = dense(window, F, 1.0)
    probes = []
    for requested in (0.3, 0.15):
        runs = [stochastic(window, F, 1.0, gradient_error=requested, generator=seeded(seed)) for seed in range(25)]
        met = [run for run in runs if run.outcome is Outcome.CONVERGED]
        assert len(met) > 20
        assert all(run.grad_F_error <= requested for run in met)
        assert np.mean([error_of(run, by_F) < 1.2 * requested for run in met]) > 0.9
        probes.append(np.mean([run.num_probes for run in runs]))
        assert {run.log_p.dtype for run in runs} == {run.grad_F.dtype for run in runs} == {dtype}
    assert probes[1] >= probes[0]


def test_probes_grow_until_the_error_is_met_or_the_result_says_that_it_is_not() -> None:
    window, generator = window_of(), seeded(1)
    F = variances(window.num_variants, mean=0.5)
    rough = stochastic(window, F, 1.0, gradient_error=0.5, generator=generator)
    assert (rough.num_probes, rough.outcome) == (8, Outcome.CONVERGED)
    assert rough.engine == "stochastic (float64, 8 probes)"
    fine = stochastic(window, F, 1.0, gradient_error=0.001, generator=generator)
    assert (fine.num_probes, fine.outcome) == (64, Outcome.MAX_STEPS)
    assert fine.grad_F_error < rough.grad_F_error
    assert fine.engine == (
        f"stochastic (float64, 64 probes, gradient error {fine.grad_F_error:.2g} above the requested 0.001)"
    )
    between = stochastic(window, F, 1.0, gradient_error=0.6 * rough.grad_F_error, generator=generator)
    assert 8 < between.num_probes <= 64
    assert between.grad_F_error <= 0.6 * rough.grad_F_error


def test_backward_hands_on_the_estimated_gradients() -> None:
    window = window_of()
    F = variances(window.num_variants).float().requires_grad_()
    sigma2 = torch.tensor([1.1], requires_grad=True)
    result = stochastic(window, F, sigma2, generator=seeded(1))
    assert result.grad_F.dtype == torch.float64
    assert not result.grad_F.requires_grad
    (3 * result.log_p).backward()
    assert F.grad is not None
    assert sigma2.grad is not None
    torch.testing.assert_close(F.grad, (3 * result.grad_F).float())
    torch.testing.assert_close(sigma2.grad, (3 * result.grad_sigma2).float().reshape(1))
    free = stochastic(window, F.detach(), 1.1, generator=seeded(1))
    assert not free.log_p.requires_grad
    torch.testing.assert_close(free.log_p, result.log_p.detach())


def test_same_generator_same_numbers_other_generator_other_numbers() -> None:
    window = window_of()
    F = variances(window.num_variants)
    first, again, other = (stochastic(window, F, 1.0, generator=seeded(seed)) for seed in (4, 4, 5))
    assert torch.equal(first.grad_F, again.grad_F)
    assert not torch.equal(first.grad_F, other.grad_F)


HARD = {
    "F is 0 everywhere": (lambda num: torch.zeros(num, dtype=torch.float64), 1.0),
    "F over 12 orders up to 1": (lambda num: 10 ** torch.linspace(-12, 0, num, dtype=torch.float64), 1.0),
    "F over 12 orders up to 1e6": (lambda num: 10 ** torch.linspace(-6, 6, num, dtype=torch.float64), 1.0),
    "one enormous F": (lambda num: variances(num).index_fill(0, torch.tensor([num // 2]), 1e6), 1.0),
    "a few large F": (lambda num: variances(num).index_fill(0, torch.tensor([90, 91, 100, 120]), 1e3), 1.0),
    "sigma2 1e-6": (variances, 1e-6),
    "sigma2 1e-3": (variances, 1e-3),
    "sigma2 1e3": (variances, 1e3),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", HARD)
def test_hard_windows_do_not_break_it(name: str, dtype: torch.dtype, kind: str) -> None:
    make, sigma2 = HARD[name]
    full = window_of(kind)
    F = make(full.num_variants).to(dtype)
    window = full.to(dtype=dtype)
    truth = exact(WhitenedWindow(B=window.B.double(), w=window.w.double(), T=None if window.T is None else window.T.double()),
                  F.double(), sigma2)  # fmt: skip
    for seed in range(3):
        result = stochastic(window, F, sigma2, generator=seeded(seed))
        assert error_of(result, truth.grad_F) < 0.14
        assert result.log_p.dtype == dtype
        allowed = 6 * result.log_p_stderr + 1e-5 * abs(float(truth.log_p)) + 1e-4
        assert abs(float(result.log_p) - float(truth.log_p)) < allowed


def test_nothing_is_random_where_nothing_need_be() -> None:
    window = window_of()
    result = stochastic(window, torch.zeros(window.num_variants), 1.7, generator=seeded(1))
    log_p, by_F, by_sigma2 = dense(window, torch.zeros(window.num_variants), 1.7)
    assert float(result.log_p) == pytest.approx(log_p, rel=1e-12)
    torch.testing.assert_close(result.grad_F, by_F, rtol=1e-9, atol=1e-9)
    assert float(result.grad_sigma2) == pytest.approx(by_sigma2, rel=1e-9)
    assert result.log_p_stderr < 1e-9
    assert result.grad_F_error < 1e-9


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 30), (30, 29)])
def test_windows_of_any_shape(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    window = WhitenedWindow(
        B=torch.from_numpy(rng.standard_normal(shape)) / shape[0], w=torch.from_numpy(rng.standard_normal(shape[0]))
    )
    F = variances(shape[1], mean=1.0)
    _, by_F, _ = dense(window, F, 1.0)
    assert error_of(stochastic(window, F, 1.0, gradient_error=0.2, generator=seeded(0)), by_F) < 0.25


def test_fall_backs_say_so() -> None:
    window = window_of()
    enormous = variances(window.num_variants).index_fill(0, torch.tensor([100]), 1e6)
    assert stochastic(window.to(dtype=torch.float32), enormous.float(), 1.0, generator=seeded(1)).engine == (
        "stochastic (float64, 8 probes: float32 was not enough)"
    )
    wide = 10 ** torch.linspace(-6, 6, window.num_variants, dtype=torch.float64)
    result = stochastic(window, wide, 1.0, generator=seeded(1))
    assert result.engine == "exact (rank form, float64), for stochastic: the solve does not converge"
    assert (result.num_probes, result.log_p_stderr, result.grad_F_error) == (0, 0.0, 0.0)
    torch.testing.assert_close(result.grad_F, exact(window, wide, 1.0).grad_F)


def test_no_associations_above_noise_at_all() -> None:
    window = window_of()
    silent = WhitenedWindow(B=window.B, w=torch.zeros_like(window.w))
    F = variances(window.num_variants)
    _, by_F, _ = dense(silent, F, 1.0)
    assert error_of(stochastic(silent, F, 1.0, generator=seeded(0)), by_F) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_converted_block_by_block(kind: str) -> None:
    full = window_of(kind)
    half = WhitenedWindow(B=full.B.half(), w=full.w.float(), T=None if full.T is None else full.T.float())
    single = WhitenedWindow(B=half.B.float(), w=half.w, T=half.T)
    F = variances(full.num_variants).float()
    for block_bytes in (None, 4 * half.B.shape[0] * 7):
        ours = stochastic(half, F, 1.0, generator=seeded(1), block_bytes=block_bytes)
        theirs = stochastic(single, F, 1.0, generator=seeded(1))
        assert ours.engine == theirs.engine
        assert ours.engine.startswith("stochastic (float32, ")
        torch.testing.assert_close(ours.grad_F, theirs.grad_F, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(ours.log_p, theirs.log_p)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_peak_memory_is_two_and_a_half_times_B(dtype: str) -> None:
    code = f"""
import torch
from varfx.ld import WhitenedWindow
from varfx.likelihood import stochastic
def status(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))
def step(rows, columns, size):
    B = torch.empty(rows, columns, dtype=torch.{dtype})
    for row in B:
        row.copy_(torch.randn(columns) / columns**0.5)
    F = torch.full((columns,), 0.5)
    window = WhitenedWindow(B=B, w=torch.randn(rows))
    open("/proc/self/clear_refs", "w").write("5")
    before = status("VmRSS:")
    result = stochastic(window, F, 1.0, generator=torch.Generator().manual_seed(0))
    assert result.engine.startswith("stochastic (float32"), result.engine
    return (status("VmHWM:") - before) / B.nbytes
step(50, 100, 4)  # what libraries load and keep
print(step(1200, 12_000, 2))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(shown) < 1.5


def test_wrong_arguments_are_named() -> None:
    window = window_of()
    F, generator = variances(window.num_variants), seeded(0)
    for options, message in (
        ({"gradient_error": 0.0}, r"`gradient_error` must be positive, got 0.0\."),
        ({"gradient_error": float("nan")}, r"`gradient_error` must be positive, got nan\."),
        ({"num_probes": 1}, r"`num_probes` must be at least 2, the fewest that know their error, got 1\."),
        ({"rtol": 1.0}, r"`rtol` must be between 0 and 1, got 1.0\."),
        ({"dtype": torch.float16}, r"`dtype` must be torch.float32 or torch.float64, got torch.float16\."),
        ({"block_bytes": 0}, "`block_bytes` must be positive, got 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            stochastic(window, F, 1.0, generator=generator, **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="`F` must be finite and not negative: 1 of"):
        stochastic(window, F.index_fill(0, torch.tensor([3]), -1.0), 1.0, generator=generator)
    with pytest.raises(DataError, match="`sigma2` must be one positive number"):
        stochastic(window, F, 0.0, generator=generator)
