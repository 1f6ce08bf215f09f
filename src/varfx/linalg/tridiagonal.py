"""The small tridiagonal matrices that Lanczos and conjugate gradients leave behind, as quadrature rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from varfx.linalg.outcome import Outcome
from varfx.short_repr import short_repr


@dataclass(frozen=True, kw_only=True, eq=False)
class Tridiagonals:
    """One symmetric tridiagonal matrix T a probe, on the CPU in float64.

    For a unit vector v and a symmetric A, `e1' f(T) e1` is the Gauss rule for `v' f(A) v` (Golub and Meurant, 1994). Rows at and
    beyond `steps` are those of the identity: they carry no weight.

    Attributes:
        diagonal: (k, s).
        off_diagonal: (k, s - 1), zero where a matrix has ended.
        steps: (k,) the true size of each.
        outcome: how the iteration that left them ended.
    """

    __repr__ = short_repr

    diagonal: Float[Tensor, "k s"]
    off_diagonal: Float[Tensor, "k s1"]
    steps: Int[Tensor, " k"]
    outcome: Outcome = Outcome.CONVERGED

    @staticmethod
    def padded(
        diagonal: Float[Tensor, "k s"],
        off_diagonal: Float[Tensor, "k s1"],
        steps: Int[Tensor, " k"],
        outcome: Outcome,
    ) -> Tridiagonals:
        """The matrices of the given sizes; entries outside them are replaced."""
        diagonal, off_diagonal, steps = (x.detach().to("cpu") for x in (diagonal, off_diagonal, steps))
        place = torch.arange(diagonal.shape[1])
        inside: Bool[Tensor, "k s"] = place < steps[:, None]
        return Tridiagonals(
            diagonal=torch.where(inside, diagonal.double(), 1.0),
            off_diagonal=torch.where(inside[:, 1:], off_diagonal.double(), 0.0),
            steps=steps,
            outcome=outcome,
        )

    @staticmethod
    def from_cg(
        alpha: Float[Tensor, "k s"], beta: Float[Tensor, "k s"], steps: Int[Tensor, " k"], outcome: Outcome
    ) -> Tridiagonals:
        """From the step lengths and conjugation coefficients of CG (Saad, 2003, section 6.7.3).

        `T_jj = 1/alpha_j + beta_(j-1)/alpha_(j-1)`, `T_j,j+1 = sqrt(beta_j)/alpha_j`.
        """
        # Formed in float64 from the factors L D L', so that T is as positive definite as the step lengths are positive.
        alpha, beta = alpha.detach().to("cpu").double(), beta.detach().to("cpu").double()
        diagonal = 1 / alpha
        diagonal[:, 1:] += beta[:, :-1] / alpha[:, :-1]
        return Tridiagonals.padded(diagonal, beta[:, :-1].sqrt() / alpha[:, :-1], steps, outcome)

    @staticmethod
    def joined(parts: Sequence[Tridiagonals]) -> Tridiagonals:
        """The matrices of several runs, with the worst of their outcomes."""
        width = max(part.diagonal.shape[1] for part in parts)

        def widened(values: Float[Tensor, "k s"], size: int) -> Float[Tensor, "k size"]:
            return torch.nn.functional.pad(values, (0, size - values.shape[1]))

        return Tridiagonals.padded(
            torch.cat([widened(part.diagonal, width) for part in parts]),
            torch.cat([widened(part.off_diagonal, width - 1) for part in parts]),
            torch.cat([part.steps for part in parts]),
            Outcome.worst(part.outcome for part in parts),
        )

    @property
    def num_probes(self) -> int:
        """k, the number of matrices."""
        return self.diagonal.shape[0]

    def dense(self) -> Float[Tensor, "k s s"]:
        """The matrices as such."""
        off = self.off_diagonal
        return torch.diag_embed(self.diagonal) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)

    def shortened(self) -> Tridiagonals:
        """The matrices one step earlier; those of one step stay, as nothing smaller says anything."""
        steps = (self.steps - 1).clamp(min=1).minimum(self.steps)
        return Tridiagonals.padded(self.diagonal, self.off_diagonal, steps, self.outcome)

    def rule(self) -> tuple[Float[Tensor, "k s"], Float[Tensor, "k s"]]:
        """Nodes (Ritz values, ascending) and weights (they sum to 1) of each Gauss rule."""
        nodes, vectors = torch.linalg.eigh(self.dense())
        return nodes, vectors[:, 0, :].square()

    def quadrature(self, function: Callable[[Float[Tensor, "k s"]], Float[Tensor, "k s"]]) -> Float[Tensor, " k"]:
        """`e1' f(T) e1` of each matrix, for an elementwise function."""
        nodes, weights = self.rule()
        return (weights * function(nodes)).sum(dim=1)
