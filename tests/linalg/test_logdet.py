"""Stochastic log-determinants: right in the mean, and their error bars true."""

import math

import pytest
import torch
from torch import Tensor

from cases.lanczos import lanczos_logdet
from cases.operators import Dense, Diagonal
from varfx.errors import ConfigError
from varfx.linalg import (
    DiagonalPreconditioner,
    EigenPreconditioner,
    Estimate,
    Identity,
    Outcome,
    Probe,
    ScaledGram,
    Tridiagonals,
    cg,
    quadrature_logdet,
    symmetric_eigen,
)

RUNS = 200
SPECTRA = {
    "above one": torch.linspace(1, 30, 24, dtype=torch.float64),
    "below one": torch.linspace(0.01, 0.4, 24, dtype=torch.float64),
    "around one": torch.logspace(-1, 1, 24, dtype=torch.float64),
    "tiny and huge": torch.logspace(-6, 3, 24, dtype=torch.float64),
}


def assert_calibrated(runs: list[Estimate], truth: Tensor) -> None:
    """Unbiased, error bars true, and the 95 % interval covers."""
    z = torch.stack([(run.value - truth) / run.stderr for run in runs])
    assert abs(float(z.mean())) < 4 / len(runs) ** 0.5
    assert 0.85 < float(z.std()) < 1.25
    ends = [run.interval(0.95) for run in runs]
    covered = sum(bool(low <= truth <= high) for low, high in ends) / len(runs)
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / len(runs))


@pytest.mark.parametrize("name", list(SPECTRA))
@pytest.mark.parametrize("probe", list(Probe))
def test_lanczos_estimate_is_calibrated(name: str, probe: Probe, matrix_of, generator: torch.Generator) -> None:
    A = matrix_of(SPECTRA[name])
    runs = [lanczos_logdet(Dense(A), 16, generator=generator, max_steps=24, probe=probe) for _ in range(RUNS)]
    assert_calibrated(runs, SPECTRA[name].log().sum())


@pytest.mark.parametrize("known_mean", [False, True])
@pytest.mark.parametrize("probe", list(Probe))
@pytest.mark.parametrize("sigma2", [0.05, 0.8, 50.0])
def test_estimate_from_cg_is_calibrated(
    known_mean: bool, probe: Probe, sigma2: float, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F = ld_like[0][:25], ld_like[1]
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    runs = []
    for _ in range(RUNS):
        solution = cg(C, P.sample(16, generator=generator, probe=probe), preconditioner=P, rtol=1e-4)
        runs.append(quadrature_logdet(solution.tridiagonals(), P, mean_eigenvalue=1.0 if known_mean else None))
        assert runs[-1].outcome is Outcome.CONVERGED
    assert_calibrated(runs, torch.logdet((B * F) @ B.T + sigma2 * torch.eye(25, dtype=torch.float64)))


@pytest.mark.parametrize("num_probes", [2, 3])
def test_few_probes_stay_unbiased_with_the_fitted_slope(
    num_probes: int, ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    """The slope is taken from the other probes: fitted on all of them, two probes would be biased."""
    B, F, sigma2 = ld_like[0][:25], ld_like[1], ld_like[2]
    C = ScaledGram(B=B, F=F * 4, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    values = torch.stack(
        [
            quadrature_logdet(
                cg(C, P.sample(num_probes, generator=generator), preconditioner=P, rtol=1e-5).tridiagonals(),
                P,
                mean_eigenvalue=1.0,
            ).value
            for _ in range(400)
        ]
    )
    truth = torch.logdet((B * F * 4) @ B.T + sigma2 * torch.eye(25, dtype=torch.float64))
    assert abs(float(values.mean() - truth)) < 4 * float(values.std()) / 400**0.5


def test_control_variates_shrink_the_error(ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    T = cg(C, P.sample(64, generator=generator), preconditioner=P, rtol=1e-6).tridiagonals()
    assert quadrature_logdet(T, P, mean_eigenvalue=1.0).stderr < 0.5 * quadrature_logdet(T, P).stderr


def test_preconditioned_lanczos_agrees_with_the_truth(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    P = DiagonalPreconditioner(C.diagonal())
    runs = [
        lanczos_logdet(C, 16, generator=generator, preconditioner=P, mean_eigenvalue=1.0, max_steps=20)
        for _ in range(RUNS)
    ]
    assert_calibrated(runs, torch.logdet((B * F) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64)))


def test_the_exact_preconditioner_leaves_no_error(
    ld_like: tuple[Tensor, Tensor, float], generator: torch.Generator
) -> None:
    B, F, sigma2 = ld_like
    eigen = symmetric_eigen((B * F) @ B.T)
    P = EigenPreconditioner(V=eigen.vectors, values=eigen.values + sigma2, rest=sigma2)
    C = ScaledGram(B=B, F=F, sigma2=sigma2)
    solution = cg(C, P.sample(4, generator=generator), preconditioner=P)
    truth = torch.logdet((B * F) @ B.T + sigma2 * torch.eye(60, dtype=torch.float64))
    for mean in (None, 1.0):
        run = quadrature_logdet(solution.tridiagonals(), P, mean_eigenvalue=mean)
        assert float(run.value) == pytest.approx(float(truth), abs=1e-9)
        assert float(run.stderr) < 1e-9


def test_a_multiple_of_the_identity_is_exact_in_either_form(generator: torch.Generator) -> None:
    solution = cg(Diagonal(torch.full((7,), 0.25)), torch.randn(7, 3, generator=generator))
    for mean in (None, 0.25):
        run = quadrature_logdet(solution.tridiagonals(), Identity(7), mean_eigenvalue=mean)
        assert float(run.value) == pytest.approx(7 * math.log(0.25), rel=1e-6)


def test_too_few_steps_show_in_outcome_and_error(matrix_of, generator: torch.Generator) -> None:
    spectrum = torch.logspace(-6, 0, 100, dtype=torch.float64)
    A = Dense(matrix_of(spectrum))
    short = lanczos_logdet(A, 16, generator=generator, max_steps=3)
    assert short.outcome is Outcome.MAX_STEPS
    # scatter alone would be far smaller than the bias of three steps
    assert abs(short.value - spectrum.log().sum()) < 6 * short.stderr
    assert lanczos_logdet(A, 16, generator=generator, max_steps=100).outcome is Outcome.CONVERGED
    unfinished = cg(A, torch.randn(100, 4, generator=generator, dtype=torch.float64), rtol=1e-10, max_steps=5)
    assert quadrature_logdet(unfinished.tridiagonals(), Identity(100)).outcome is Outcome.MAX_STEPS


def test_float32_is_near_float64(ld_like: tuple[Tensor, Tensor, float]) -> None:
    B, F, sigma2 = ld_like

    def estimate(dtype: torch.dtype) -> Estimate:
        C = ScaledGram(B=B.to(dtype), F=F.to(dtype), sigma2=sigma2)
        P = DiagonalPreconditioner(C.diagonal())
        Z = P.sample(8, generator=torch.Generator().manual_seed(5), probe=Probe.RADEMACHER)
        return quadrature_logdet(cg(C, Z, preconditioner=P, rtol=1e-5).tridiagonals(), P)

    assert float(estimate(torch.float32).value) == pytest.approx(float(estimate(torch.float64).value), abs=1e-3)


def test_a_matrix_that_is_not_positive_definite_is_a_breakdown(matrix_of, generator: torch.Generator) -> None:
    A = Dense(matrix_of(torch.tensor([-1.0, 1, 2, 3, 4])))
    assert lanczos_logdet(A, 4, generator=generator).outcome is Outcome.BREAKDOWN
    T = Tridiagonals.padded(torch.tensor([[-2.0]]), torch.empty(1, 0), torch.tensor([1]), Outcome.CONVERGED)
    assert quadrature_logdet(T, Identity(5)).outcome is Outcome.BREAKDOWN


def test_one_probe_is_possible_with_unknown_error(generator: torch.Generator) -> None:
    run = lanczos_logdet(Diagonal(torch.tensor([1.0, 2.0])), 1, generator=generator, mean_eigenvalue=1.5)
    assert run.stderr == torch.inf
    one_row = lanczos_logdet(Diagonal(torch.tensor([0.2])), 3, generator=generator)
    assert float(one_row.value) == pytest.approx(math.log(0.2))


def test_no_probes_are_an_error() -> None:
    A = Diagonal(torch.ones(3))
    with pytest.raises(ConfigError, match="at least one probe"):
        quadrature_logdet(cg(A, torch.empty(3, 0)).tridiagonals(), Identity(3))
