"""The paper's engines against dense float64 algebra, against the whitened likelihood, and against their own error bars."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.ld.whiten import WhitenedWindow, whiten
from varfx.likelihood import exact
from varfx.likelihood.paper.published import published_step
from varfx.likelihood.paper.ridged import PaperWindow, RidgedCovariance, cholesky, iterative
from varfx.linalg import EigenPreconditioner

PRECONDITIONING = ("none", "nystrom", "structured")


def correlation(variants: int, people: int, rng: np.random.Generator, *, neighbour: float = 0.8) -> Tensor:
    """Correlations of an autoregressive sample; of full rank where there are more individuals than variants."""
    noise = rng.standard_normal((people, variants))
    X = np.empty_like(noise)
    X[:, 0] = noise[:, 0]
    for column in range(1, variants):
        X[:, column] = neighbour * X[:, column - 1] + np.sqrt(1 - neighbour**2) * noise[:, column]
    X = (X - X.mean(0)) / X.std(0)
    return torch.from_numpy(X.T @ X / people)


def make_window(rng: np.random.Generator, *, flank: int = 15, core: int = 40, people: int = 600) -> PaperWindow:
    R = correlation(core + 2 * flank, people, rng)
    inside = slice(flank, flank + core)
    square = R[inside, inside].contiguous()
    z = torch.linalg.cholesky(square @ square + square) @ torch.from_numpy(rng.standard_normal(core))
    return PaperWindow(R_core=square, R_cross=square if flank == 0 else R[inside].contiguous(), z=z)


def variances(window: PaperWindow, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(np.exp(rng.standard_normal(window.num_variants)))


def whitened(window: PaperWindow) -> tuple[WhitenedWindow, Tensor]:
    B, w, lam = whiten(window.R_core, window.R_cross, window.z)
    return WhitenedWindow(B=B, w=w), lam


def transcription(window: PaperWindow, F: Tensor, sigma2: Tensor, eps: float) -> Tensor:
    """The normal density of z, entry by entry as printed (times N), with the slip of the sliced A put right."""
    A = window.R_cross @ torch.diag(F) @ window.R_cross.T + sigma2 * window.R_core
    A = A + eps * torch.eye(A.shape[0], dtype=A.dtype)
    return torch.distributions.MultivariateNormal(torch.zeros_like(window.z), covariance_matrix=A).log_prob(window.z)


@pytest.mark.parametrize("flank", [0, 15])
@pytest.mark.parametrize("eps", [1e-4, 0.1])
def test_cholesky_is_the_normal_density_and_its_autograd(rng: np.random.Generator, flank: int, eps: float) -> None:
    window = make_window(rng, flank=flank)
    F, sigma2 = variances(window, rng).requires_grad_(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    value = transcription(window, F, sigma2, eps)
    by_F, by_sigma2 = torch.autograd.grad(value, (F, sigma2))
    result = cholesky(window, F, sigma2, eps=eps)
    torch.testing.assert_close(result.log_p, value, rtol=1e-11, atol=0)
    torch.testing.assert_close(result.grad_F, by_F, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(result.grad_sigma2, by_sigma2, rtol=1e-8, atol=1e-9)
    assert result.log_p_stderr == 0


def test_gradient_is_that_of_finite_differences(rng: np.random.Generator) -> None:
    window = make_window(rng, core=12, flank=4)
    F, sigma2, step = variances(window, rng), 0.7, 1e-5
    result = cholesky(window, F, sigma2)
    for index in range(window.num_variants):
        bump = torch.zeros_like(F)
        bump[index] = step
        change = cholesky(window, F + bump, sigma2).log_p - cholesky(window, F - bump, sigma2).log_p
        assert float(change) / (2 * step) == pytest.approx(float(result.grad_F[index]), rel=1e-6, abs=1e-8)
    change = cholesky(window, F, sigma2 + step).log_p - cholesky(window, F, sigma2 - step).log_p
    assert float(change) / (2 * step) == pytest.approx(float(result.grad_sigma2), rel=1e-6)


@pytest.mark.parametrize("flank", [0, 15])
def test_exact_cholesky_and_published_agree_where_the_ridge_is_gone(rng: np.random.Generator, flank: int) -> None:
    window = make_window(rng, flank=flank)
    F, sigma2 = variances(window, rng), 0.7
    white, lam = whitened(window)
    reference = exact(white, F, sigma2)
    smeared = cholesky(window, F, sigma2, eps=0.0)
    published = published_step(window, F, sigma2)
    assert float(published.log_p) == pytest.approx(float(reference.log_p), rel=1e-10)
    # z = V lam^1/2 w: the densities differ by the Jacobian |R|^1/2.
    assert float(smeared.log_p + 0.5 * lam.log().sum()) == pytest.approx(float(reference.log_p), rel=1e-10)
    for other in (smeared, published):
        torch.testing.assert_close(other.grad_F, reference.grad_F, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(other.grad_sigma2, reference.grad_sigma2, rtol=1e-8, atol=1e-8)


def test_the_ridge_moves_log_p_and_gradients_in_proportion(rng: np.random.Generator) -> None:
    window = make_window(rng)
    F = variances(window, rng)
    at = {eps: cholesky(window, F, 0.7, eps=eps) for eps in (0.0, 1e-7, 2e-7)}
    for get in (lambda r: r.log_p, lambda r: r.grad_F, lambda r: r.grad_sigma2):
        near, far = get(at[1e-7]) - get(at[0.0]), get(at[2e-7]) - get(at[0.0])
        torch.testing.assert_close(far, 2 * near, rtol=1e-3, atol=1e-9)


def test_published_is_exact_on_variants_in_perfect_ld(rng: np.random.Generator) -> None:
    window = make_window(rng, flank=0)
    twice = torch.cat([torch.arange(40), torch.arange(10)])
    R = window.R_core[twice][:, twice].contiguous()
    window = PaperWindow(R_core=R, R_cross=R, z=window.z[twice])
    F = variances(window, rng)
    reference, published = exact(whitened(window)[0], F, 0.7), published_step(window, F, 0.7)
    torch.testing.assert_close(published.log_p, reference.log_p, rtol=1e-8, atol=0)
    torch.testing.assert_close(published.grad_F, reference.grad_F, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(published.grad_sigma2, reference.grad_sigma2, rtol=1e-7, atol=1e-8)


def test_outside_the_range_of_r_the_paper_counts_nats_of_the_ridge(rng: np.random.Generator) -> None:
    """log p(z) tends to log p(w) - 1/2 log|R|+ - k/2 log(2 pi eps) - |z outside|^2 / (2 eps)."""
    window = make_window(rng, flank=0, core=20)
    twice = torch.cat([torch.arange(20), torch.arange(5)])
    R, z = window.R_core[twice][:, twice].contiguous(), window.z[twice]
    z[3] += 1e-3  # now two copies of one variant disagree
    window = PaperWindow(R_core=R, R_cross=R, z=z)
    white, lam = whitened(window)
    F, eps = variances(window, rng), 1e-6
    outside = torch.linalg.eigh(R).eigenvectors[:, :5].T @ z
    expected = (
        exact(white, F, 0.7).log_p
        - 0.5 * lam.log().sum()
        - 2.5 * math.log(2 * math.pi * eps)
        - outside.square().sum() / (2 * eps)
    )
    assert float(cholesky(window, F, 0.7, eps=eps).log_p) == pytest.approx(float(expected), abs=2e-3)


@pytest.mark.parametrize("flank", [0, 15])
def test_operator_is_the_matrix(rng: np.random.Generator, flank: int) -> None:
    window = make_window(rng, flank=flank)
    F = variances(window, rng)
    operator = RidgedCovariance(window=window, F=F, sigma2=0.7, eps=0.01)
    eye = torch.eye(40, dtype=torch.float64)
    dense = window.R_cross @ torch.diag(F) @ window.R_cross.T + 0.7 * window.R_core + 0.01 * eye
    torch.testing.assert_close(operator.matmul(eye), dense)
    torch.testing.assert_close(operator.diagonal(), dense.diagonal())


@pytest.mark.parametrize("preconditioning", PRECONDITIONING)
@pytest.mark.parametrize("flank", [0, 15])
def test_iterative_engines_are_unbiased_and_their_error_bars_true(
    rng: np.random.Generator, preconditioning: str, flank: int
) -> None:
    window = make_window(rng, flank=flank)
    F = variances(window, rng)
    truth = cholesky(window, F, 0.7, eps=1e-2)
    generator = torch.Generator().manual_seed(5)
    runs = [
        iterative(window, F, 0.7, preconditioning=preconditioning, generator=generator, num_probes=20, eps=1e-2)
        for _ in range(60)
    ]
    misses = torch.stack([run.log_p - truth.log_p for run in runs])
    if preconditioning == "nystrom":  # of full rank it is the matrix: what is left is the tolerance of CG
        assert float(misses.abs().max()) < 1e-4
    else:
        errors = misses / torch.tensor([run.log_p_stderr for run in runs])
        assert abs(float(errors.mean())) < 4 / 60**0.5
        assert 0.7 < float(errors.std()) < 1.4
    for name in ("grad_F", "grad_sigma2"):
        samples = torch.stack([getattr(run, name) for run in runs])
        z = (samples.mean(0) - getattr(truth, name)) / (samples.std(0) / 60**0.5)
        assert float(z.abs().max()) < 4.5
        assert float(z.square().mean()) < 2.5


def test_the_structured_preconditioner_is_the_matrix_for_constant_f(rng: np.random.Generator) -> None:
    window = make_window(rng, flank=0)
    F = torch.full((40,), 1.3, dtype=torch.float64)
    truth = cholesky(window, F, 0.7)
    result = iterative(window, F, 0.7, preconditioning="structured", generator=torch.Generator().manual_seed(1))
    assert ": 1 steps, CONVERGED" in result.engine
    assert result.log_p_stderr < 1e-6
    assert float(result.log_p) == pytest.approx(float(truth.log_p), rel=1e-6)


def test_the_structured_preconditioner_saves_steps(rng: np.random.Generator) -> None:
    window = make_window(rng, flank=0, core=120, people=130)
    F = variances(window, rng)

    def steps(preconditioning: str) -> int:
        engine = iterative(window, F, 0.7, preconditioning=preconditioning, generator=torch.Generator()).engine
        return int(engine.split(": ")[-1].split()[0])

    assert steps("structured") < steps("none") / 2


def test_woodbury_needs_another_gamma_than_printed(rng: np.random.Generator) -> None:
    window = make_window(rng, flank=0)
    lam, V = window.eigen
    g, eps = 1.1 * lam.square() + 0.7 * lam, 1e-2
    P = EigenPreconditioner(V=V, values=g + eps, rest=eps)
    eye = torch.eye(40, dtype=torch.float64)

    def woodbury(gamma: Tensor) -> Tensor:
        return (eye - (V * gamma) @ V.T) / eps

    torch.testing.assert_close(woodbury(g / (g + eps)), P.solve(eye))
    assert float((woodbury(1 / g + eps) - P.solve(eye)).abs().max()) > 1


@pytest.mark.parametrize("preconditioning", PRECONDITIONING)
def test_the_step_limit_is_told(rng: np.random.Generator, preconditioning: str) -> None:
    window = make_window(rng, core=120, flank=0, people=130)
    F = variances(window, rng) ** 4
    generator = torch.Generator().manual_seed(0)
    result = iterative(window, F, 0.7, preconditioning=preconditioning, generator=generator, max_steps=2, rtol=1e-12)
    assert preconditioning in result.engine
    assert ("MAX_STEPS" in result.engine) == (preconditioning != "nystrom")  # of full rank it is the matrix itself


def test_the_quadrature_takes_the_first_hundred_steps(rng: np.random.Generator) -> None:
    window = make_window(rng, core=150, flank=0, people=160)
    F = variances(window, rng)
    result = iterative(window, F, 0.7, preconditioning="none", generator=torch.Generator().manual_seed(3))
    truth = cholesky(window, F, 0.7)
    steps = int(result.engine.split(": ")[-1].split()[0])
    assert steps > 100
    assert abs(float(result.log_p - truth.log_p)) < 5 * result.log_p_stderr


@pytest.mark.parametrize(
    "engine",
    [
        cholesky,
        published_step,
        lambda *args: iterative(*args, preconditioning="structured", generator=torch.Generator().manual_seed(0)),
    ],
)
def test_log_p_hands_on_its_gradients(rng: np.random.Generator, engine: object) -> None:
    window = make_window(rng)
    F = variances(window, rng).float().requires_grad_()
    sigma2 = torch.tensor([0.7], requires_grad=True)
    result = engine(window, F, sigma2)  # type: ignore[operator]
    (3 * result.log_p).backward()
    assert F.grad is not None
    assert sigma2.grad is not None
    torch.testing.assert_close(F.grad, (3 * result.grad_F).float())
    torch.testing.assert_close(sigma2.grad, (3 * result.grad_sigma2).float().reshape(1))
    assert not result.grad_F.requires_grad
    assert result.log_p.dtype == torch.float64


def test_float32_runs_in_float32(rng: np.random.Generator) -> None:
    window = make_window(rng, flank=0)
    F = variances(window, rng)
    small = window.to(dtype=torch.float32)
    assert small.R_cross is small.R_core
    result = cholesky(small, F, 0.7)
    assert result.log_p.dtype == torch.float32
    assert float(result.log_p) == pytest.approx(float(cholesky(window, F, 0.7).log_p), rel=1e-3)
    assert "float32" in result.engine


def test_a_singular_matrix_without_ridge_is_told(rng: np.random.Generator) -> None:
    window = make_window(rng, flank=0)
    broken = replace(window, R_core=-window.R_core, R_cross=window.R_core)
    result = cholesky(broken, torch.zeros(40, dtype=torch.float64), 0.7, eps=0.0)
    assert math.isnan(float(result.log_p))
    assert result.grad_F.isnan().all()
    assert "not positive definite" in result.engine


def test_errors(rng: np.random.Generator) -> None:
    window = make_window(rng)
    F = variances(window, rng)
    with pytest.raises(ConfigError, match=r"`eps` must be finite and not negative, got -1"):
        cholesky(window, F, 0.7, eps=-1)
    with pytest.raises(DataError, match=r"first F\[2\] = -1"):
        cholesky(window, F.index_fill(0, torch.tensor([2]), -1.0), 0.7)
    with pytest.raises(DataError, match=r"must have shape \(70,\), one value per variant of the panel, got \(69,\)"):
        published_step(window, F[1:], 0.7)
    with pytest.raises(DataError, match=r"`sigma2` must be one positive number, got 0"):
        published_step(window, F, 0.0)
    with pytest.raises(DataError, match=r"`R_core` \(40, 40\), `R_cross` \(39, 70\) and `z` \(40,\) must be"):
        PaperWindow(R_core=window.R_core, R_cross=window.R_cross[1:], z=window.z)
