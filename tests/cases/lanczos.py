"""Lanczos with full reorthogonalisation: the oracle of the matrices that CG leaves, and of their quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import ConfigError, DataError
from varfx.linalg.logdet import quadrature_logdet
from varfx.linalg.operators import LinearOperator
from varfx.linalg.outcome import Estimate, Outcome
from varfx.linalg.preconditioners import Identity, Preconditioner
from varfx.linalg.probes import Probe, draw_probes
from varfx.linalg.tridiagonal import Tridiagonals


@dataclass(frozen=True, kw_only=True, eq=False)
class Lanczos:
    """Krylov bases Q and the matrices `T = Q' A Q`, one of each a starting vector.

    Attributes:
        tridiagonals: T; their outcome is CONVERGED if every Krylov space is exhausted (T is then exact), else MAX_STEPS;
            BREAKDOWN for a NaN.
        basis: (k, s, n), orthonormal rows; rows beyond a vector's own number of steps are zero.
    """

    tridiagonals: Tridiagonals
    basis: Float[Tensor, "k s n"]

    @property
    def outcome(self) -> Outcome:
        """That of the tridiagonal matrices."""
        return self.tridiagonals.outcome


@torch.no_grad()
def lanczos(
    operator: LinearOperator,
    start: Float[Tensor, "n k"],
    *,
    max_steps: int = 32,
    preconditioner: Preconditioner | None = None,
) -> Lanczos:
    """Lanczos' recurrence for A, or for `P^-1/2 A P^-1/2` (Golub and Van Loan, 2013, section 10.1).

    Orthogonality is kept by two passes of Gram-Schmidt against the whole basis, which needs `k s n` values of memory: no
    ghost eigenvalues, unlike the matrices that CG leaves.

    Args:
        operator: A, symmetric.
        start: starting vectors, of the operator's dtype and device; a zero vector gives a matrix of no steps.
        max_steps: at most this many, and at most n.
        preconditioner: P, or None.

    Raises:
        DataError: shapes that do not fit.
        ConfigError: `max_steps` is not positive.
    """
    if start.ndim != 2 or start.shape[0] != operator.size or start.shape[0] == 0:
        raise DataError(f"`start` must be ({operator.size}, k) with at least one row, got shape {tuple(start.shape)}.")
    if max_steps < 1:
        raise ConfigError(f"`max_steps` must be at least 1, got {max_steps}.")
    size, width = start.shape
    limit = min(max_steps, size)
    basis = start.new_zeros((width, limit, size))
    diagonal, off_diagonal = start.new_ones((width, limit)), start.new_zeros((width, limit))
    steps = torch.zeros(width, dtype=torch.int64, device=start.device)

    norms = torch.linalg.vector_norm(start, dim=0)
    alive = norms > 0
    sane = torch.isfinite(norms)
    basis[:, 0] = torch.where(alive, start / norms, 0).T
    magnitude = torch.zeros_like(norms)
    for step in range(limit):
        vector = basis[:, step].T
        if preconditioner is None:
            image = operator.matmul(vector)
        else:
            image = preconditioner.sqrt_solve(operator.matmul(preconditioner.sqrt_solve_transposed(vector)))
        diagonal[:, step] = torch.linalg.vecdot(vector, image, dim=0)
        steps += alive
        rest, known = image.T.unsqueeze(1), basis[:, : step + 1]
        for _ in range(2):
            rest = rest - (rest @ known.mT) @ known
        length = torch.linalg.vector_norm(rest, dim=(1, 2))
        sane &= torch.isfinite(length)
        magnitude = torch.maximum(magnitude, torch.linalg.vector_norm(image, dim=0))
        alive = alive & (length > 10 * torch.finfo(start.dtype).eps * magnitude)
        off_diagonal[:, step] = length
        if step + 1 == limit or not bool(alive.any()):
            break
        basis[:, step + 1] = torch.where(alive[:, None], rest[:, 0] / length[:, None], 0)

    taken = step + 1
    exhausted = taken == size or not bool(alive.any())
    outcome = Outcome.CONVERGED if exhausted else Outcome.MAX_STEPS
    if not bool(sane.all()):
        outcome = Outcome.BREAKDOWN
    return Lanczos(
        tridiagonals=Tridiagonals.padded(diagonal[:, :taken], off_diagonal[:, : taken - 1], steps, outcome),
        basis=basis[:, :taken],
    )


def lanczos_logdet(
    operator: LinearOperator,
    num_probes: int,
    *,
    generator: torch.Generator,
    preconditioner: Preconditioner | None = None,
    max_steps: int = 32,
    probe: Probe = Probe.RADEMACHER,
    mean_eigenvalue: float | None = None,
) -> Estimate:
    """`log|C|` by quadrature from these matrices in place of those of CG."""
    P = Identity(operator.size, operator.dtype, operator.device) if preconditioner is None else preconditioner
    start = draw_probes(
        operator.size, num_probes, generator=generator, probe=probe, dtype=operator.dtype, device=operator.device
    )
    run = lanczos(operator, start, max_steps=max_steps, preconditioner=preconditioner)
    return quadrature_logdet(run.tridiagonals, P, mean_eigenvalue=mean_eigenvalue)
