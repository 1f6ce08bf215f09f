"""Iterative linear algebra on tensors; knows no genetics and opens no file.

An operator says how to multiply, a preconditioner how to nearly solve, a solver gives a result that says how it ended:

    C = ScaledGram(B=B, F=F, sigma2=1.0)
    P = DiagonalPreconditioner(C.diagonal())
    Z = P.sample(16, generator=generator)
    solution = cg(C, torch.cat([Z, w], dim=1), preconditioner=P)
    logdet = quadrature_logdet(solution.tridiagonals(slice(0, 16)), P, mean_eigenvalue=1.0)
"""

from varfx.linalg.cg import Solution, cg
from varfx.linalg.control import control_variate
from varfx.linalg.eigen import SymmetricEigen, symmetric_eigen
from varfx.linalg.factored import CholeskyPreconditioner, LowRankPreconditioner
from varfx.linalg.hutchinson import hutchinson_diagonal, hutchinson_trace, inverse_quadratic_diagonal, inverse_trace
from varfx.linalg.lanczos import Lanczos, lanczos
from varfx.linalg.logdet import quadrature_logdet, stochastic_logdet
from varfx.linalg.operators import Dense, Diagonal, LinearOperator, Sum
from varfx.linalg.outcome import Estimate, Outcome
from varfx.linalg.preconditioners import DiagonalPreconditioner, EigenPreconditioner, Identity, Preconditioner
from varfx.linalg.probes import Probe, draw_probes
from varfx.linalg.scaled_gram import ScaledGram
from varfx.linalg.tridiagonal import Tridiagonals

__all__ = [
    "CholeskyPreconditioner",
    "Dense",
    "Diagonal",
    "DiagonalPreconditioner",
    "EigenPreconditioner",
    "Estimate",
    "Identity",
    "Lanczos",
    "LinearOperator",
    "LowRankPreconditioner",
    "Outcome",
    "Preconditioner",
    "Probe",
    "ScaledGram",
    "Solution",
    "Sum",
    "SymmetricEigen",
    "Tridiagonals",
    "cg",
    "control_variate",
    "draw_probes",
    "hutchinson_diagonal",
    "hutchinson_trace",
    "inverse_quadratic_diagonal",
    "inverse_trace",
    "lanczos",
    "quadrature_logdet",
    "stochastic_logdet",
    "symmetric_eigen",
]
