"""A randomised low-rank preconditioner for a matrix whose spectrum decays to a ridge (Frangella, Tropp and Udell, 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.errors import ConfigError
from varfx.linalg.operators import LinearOperator
from varfx.linalg.outcome import Outcome
from varfx.linalg.preconditioners import EigenPreconditioner
from varfx.linalg.probes import Probe, draw_probes

_POWER_STEPS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Nystrom:
    """A Nystrom approximation of `C = A + shift I`, and how good it is.

    Attributes:
        preconditioner: `U (Lambda + shift) U' + (lambda_rank + shift) (I - U U')`.
        rank: the number of directions in U.
        error: the estimated spectral norm of `A - U Lambda U'`.
        outcome: CONVERGED if the tolerance is met or the rank is full, MAX_STEPS if `max_rank` came first.
    """

    preconditioner: EigenPreconditioner
    rank: int
    error: float
    outcome: Outcome


@torch.no_grad()
def nystrom(
    operator: LinearOperator,
    *,
    shift: float,
    generator: torch.Generator,
    rank: int = 16,
    max_rank: int | None = None,
    tolerance: float = 10.0,
) -> Nystrom:
    """A preconditioner whose rank doubles until it misses no more than the ridge does.

    The preconditioned condition number is at most `1 + (lambda_rank + error) / shift` (their Proposition 5.3); the rank
    grows until this is `1 + tolerance`. Algorithms 2.1 (stabilised sketch), E.1 (power method for the error) and E.2 (doubling).

    Args:
        operator: `C = A + shift I` with A positive semi-definite.
        shift: the ridge that C holds.
        rank: of the first attempt.
        max_rank: None means n.
        tolerance: the accepted `lambda_rank + error`, in units of `shift`.

    Raises:
        ConfigError: an argument is not positive.
    """
    if not (shift > 0 and tolerance > 0):
        raise ConfigError(f"`shift` and `tolerance` must be positive, got {shift} and {tolerance}.")
    if rank < 1 or (max_rank is not None and max_rank < 1):
        raise ConfigError(f"`rank` and `max_rank` must be at least 1, got {rank} and {max_rank}.")
    limit = min(operator.size, operator.size if max_rank is None else max_rank)
    width = min(rank, limit)
    sketch = _orthonormal_columns(operator, width, None, generator)
    image = operator.matmul(sketch).sub(sketch, alpha=shift)
    while True:
        U, values = _approximation(sketch, image)
        error = _missed_norm(operator, shift, U, values, generator)
        good = float(values[-1]) + error <= tolerance * shift or width == operator.size
        if good or width == limit:
            break
        added = _orthonormal_columns(operator, min(width, limit - width), sketch, generator)
        sketch = torch.cat([sketch, added], dim=1)
        image = torch.cat([image, operator.matmul(added).sub(added, alpha=shift)], dim=1)
        width = sketch.shape[1]
    preconditioner = EigenPreconditioner(V=U, values=values + shift, rest=float(values[-1]) + shift)
    return Nystrom(
        preconditioner=preconditioner, rank=width, error=error, outcome=Outcome.CONVERGED if good else Outcome.MAX_STEPS
    )


def _orthonormal_columns(
    operator: LinearOperator, num: int, earlier: Float[Tensor, "n d"] | None, generator: torch.Generator
) -> Float[Tensor, "n num"]:
    """Random orthonormal directions, orthogonal to earlier ones."""
    columns = draw_probes(
        operator.size, num, generator=generator, probe=Probe.GAUSSIAN, dtype=operator.dtype, device=operator.device
    )
    if earlier is None:
        first: Tensor = torch.linalg.qr(columns).Q
        return first
    for _ in range(2):  # the second pass removes what rounding left
        columns = torch.linalg.qr(columns - earlier @ (earlier.T @ columns)).Q
    return columns


def _approximation(
    sketch: Float[Tensor, "n d"], image: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n d"], Float[Tensor, " d"]]:
    """Eigenvectors and eigenvalues (descending) of `Y (Omega' Y)^+ Y'`, `Y = A Omega`."""
    # Their Cholesky factor fails where A is singular in the sketch to rounding; the eigenpairs of the same small matrix do not.
    core = sketch.T @ image
    eps = torch.finfo(image.dtype).eps
    lam, Q = torch.linalg.eigh((core + core.T) / 2)
    kept = lam > sketch.shape[1] * eps * lam[-1:].clamp(min=torch.finfo(image.dtype).tiny)
    root = torch.where(kept, lam.clamp(min=torch.finfo(image.dtype).tiny).rsqrt(), 0)
    U, singular, _ = torch.linalg.svd(image @ (Q * root), full_matrices=False)
    return U, singular.square()


def _missed_norm(
    operator: LinearOperator,
    shift: float,
    U: Float[Tensor, "n d"],
    values: Float[Tensor, " d"],
    generator: torch.Generator,
) -> float:
    """The spectral norm of `A - U diag(values) U'`, by the power method from a random start (a slight underestimate)."""
    v = _orthonormal_columns(operator, 1, None, generator)
    norm = v.new_zeros(())
    for _ in range(_POWER_STEPS):
        image = operator.matmul(v).sub_(v, alpha=shift).sub_(U @ (values[:, None] * (U.T @ v)))
        norm = torch.linalg.vector_norm(image)
        v = image / norm.clamp(min=torch.finfo(norm.dtype).tiny)
    return float(norm)
