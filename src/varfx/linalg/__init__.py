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
from varfx.linalg.hutchinson import inverse_quadratic_diagonal, inverse_trace
from varfx.linalg.logdet import quadrature_logdet
from varfx.linalg.operators import LinearOperator
from varfx.linalg.outcome import Estimate, Outcome
from varfx.linalg.preconditioners import DiagonalPreconditioner, EigenPreconditioner, Identity, Preconditioner
from varfx.linalg.probes import Probe, draw_probes
from varfx.linalg.scaled_gram import ScaledGram
from varfx.linalg.tridiagonal import Tridiagonals

__all__ = [
    "CholeskyPreconditioner",
    "DiagonalPreconditioner",
    "EigenPreconditioner",
    "Estimate",
    "Identity",
    "LinearOperator",
    "LowRankPreconditioner",
    "Outcome",
    "Preconditioner",
    "Probe",
    "ScaledGram",
    "Solution",
    "SymmetricEigen",
    "Tridiagonals",
    "cg",
    "control_variate",
    "draw_probes",
    "inverse_quadratic_diagonal",
    "inverse_trace",
    "quadrature_logdet",
    "symmetric_eigen",
]
