"""What `linalg.py` measures: one call computes a window's loss and its gradient by F and sigma2."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from _linalg_windows import SIGMA2, Case
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import exact
from varfx.likelihood.paper.published import published_step
from varfx.likelihood.paper.ridged import RIDGE, PaperWindow, cholesky, iterative
from varfx.likelihood.result import LikelihoodResult

CG_STEPS = 200  # of the paper's iterative engines: where they end there, their time is a lower bound
GRADIENT_ERROR = 0.1  # of `stochastic`
COLA_PROBES, COLA_STEPS = 100, 20


@dataclass(frozen=True)
class Answer:
    """What a call returned: its gradient by F, or None where the peer cannot give one, and a remark."""

    grad_F: Tensor | None
    note: str


@dataclass(frozen=True)
class Engine:
    """One engine.

    Attributes:
        label: for tables and pictures.
        whitened: it takes the whitened window in float32, else the correlations in float64.
        run: loss and gradient.
        ridged: its covariance has the paper's ridge.
        largest: cores above this are left out.
        module: the package of a peer; left out where it is not installed.
    """

    label: str
    whitened: bool
    run: Callable[[WhitenedWindow | PaperWindow, Tensor, torch.Generator], Answer]
    ridged: bool = False
    largest: int = 10**9
    module: str | None = None

    @property
    def missing(self) -> bool:
        """Whether its package is not installed."""
        return self.module is not None and importlib.util.find_spec(self.module) is None

    def window(self, case: Case, device: str) -> tuple[WhitenedWindow | PaperWindow, Tensor] | None:
        """The window and F as this engine takes them; None where the case does not have them."""
        if self.whitened:
            return case.white.to(device=device), case.F.float().to(device)
        if case.paper is None:
            return None
        moved = case.paper.to(device=device)
        moved.__dict__["eigen"] = tuple(part.to(device) for part in case.paper.eigen)
        return moved, case.F.to(device)


def _of(result: LikelihoodResult) -> Answer:
    stderr = f", log p +- {result.log_p_stderr:.2g}" if result.log_p_stderr else ""
    return Answer(result.grad_F, result.engine + stderr)


def _stochastic(window: WhitenedWindow, F: Tensor, generator: torch.Generator) -> Answer:
    from varfx.likelihood.stochastic import stochastic

    return _of(stochastic(window, F, SIGMA2, gradient_error=GRADIENT_ERROR, generator=generator))


def _paper(preconditioning: str) -> Callable[[PaperWindow, Tensor, torch.Generator], Answer]:
    def run(window: PaperWindow, F: Tensor, generator: torch.Generator) -> Answer:
        result = iterative(window, F, SIGMA2, preconditioning=preconditioning, generator=generator, max_steps=CG_STEPS)
        return _of(result)

    return run


def _covariance(window: PaperWindow, F: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A as a user of a linear-algebra package forms it, and the leaves of the graph."""
    F, sigma2 = F.clone().requires_grad_(), torch.tensor(SIGMA2, dtype=F.dtype, device=F.device, requires_grad=True)
    eye = torch.eye(window.z.shape[0], dtype=F.dtype, device=F.device)
    return (window.R_cross * F) @ window.R_cross.T + sigma2 * window.R_core + RIDGE * eye, F, sigma2


def _autograd(window: PaperWindow, F: Tensor, generator: torch.Generator) -> Answer:
    """The Cholesky step as a script writes it: A formed and factorised in the graph, gradients by autograd."""
    A, F, sigma2 = _covariance(window, F)
    L = torch.linalg.cholesky(A)
    half_z = torch.linalg.solve_triangular(L, window.z[:, None], upper=False)
    log_p = -L.diagonal().log().sum() - 0.5 * half_z.square().sum()
    grad_F, _ = torch.autograd.grad(log_p, (F, sigma2))
    return Answer(grad_F, "torch, Cholesky and autograd (float64)")


def _linear_operator(window: PaperWindow, F: Tensor, generator: torch.Generator) -> Answer:
    """`inv_quad_logdet` with the package's own settings: 10 probes, pivoted Cholesky of rank 15, loose CG."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from linear_operator import to_linear_operator

        A, F, sigma2 = _covariance(window, F)
        quadratic, logdet = to_linear_operator(A).inv_quad_logdet(inv_quad_rhs=window.z[:, None], logdet=True)
        grad_F, _ = torch.autograd.grad(-0.5 * (quadratic + logdet), (F, sigma2))
    note = f"linear_operator: log|A| {float(logdet.detach()):.1f}, z'A^-1 z {float(quadratic.detach()):.1f}"
    return Answer(grad_F, note + (f"; warns: {str(caught[-1].message)[:60]}" if caught else ""))


def _cola(window: PaperWindow, F: Tensor, generator: torch.Generator) -> Answer:
    """SLQ and CG without preconditioner. Its log-determinant is `|tr log A|`, and cannot be differentiated (0.0.7)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cola
        from cola.linalg import CG, Hutch, Lanczos

        A, F, _ = _covariance(window, F)
        probes = Hutch(tol=1.0, max_iters=1, bs=COLA_PROBES)
        logdet = cola.linalg.logdet(
            cola.PSD(cola.ops.Dense(A.detach())), Lanczos(max_iters=COLA_STEPS, tol=1e-6), probes
        )
        solved = cola.linalg.solve(cola.PSD(cola.ops.Dense(A)), window.z[:, None], CG(tol=1e-6, max_iters=CG_STEPS))
        torch.autograd.grad(window.z @ solved[:, 0], F)
    return Answer(None, f"CoLA: log|A| {float(logdet):.1f} (its sign is lost); no gradient of it")


def cola_loses_the_sign() -> str:
    """Says whether CoLA's iterative log-determinant of a matrix with a determinant below 1 has the right sign."""
    import cola
    from cola.linalg import Hutch, Lanczos

    A = torch.diag(torch.linspace(0.2, 0.8, 64, dtype=torch.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = float(
            cola.linalg.logdet(cola.PSD(cola.ops.Dense(A)), Lanczos(max_iters=5), Hutch(tol=1.0, max_iters=1))
        )
    truth = float(torch.logdet(A))
    return f"CoLA's iterative log-determinant of diag(0.2 ... 0.8), 64 x 64: {found:.2f}, the true one: {truth:.2f}"


ENGINES = {
    "exact": Engine("exact (float32)", True, lambda w, F, g: _of(exact(w, F, SIGMA2))),
    "stochastic": Engine("stochastic (float32)", True, _stochastic),
    "exact64": Engine(
        "exact (float64)", True, lambda w, F, g: _of(exact(w, F.double(), SIGMA2, dtype=torch.float64)), largest=6000
    ),
    "cholesky": Engine(
        "paper: Cholesky, closed gradient", False, lambda w, F, g: _of(cholesky(w, F, SIGMA2)), ridged=True
    ),
    "autograd": Engine("paper: Cholesky by autograd", False, _autograd, ridged=True),
    "none": Engine("paper: CG + SLQ, no preconditioner", False, _paper("none"), ridged=True),
    "nystrom": Engine("paper: CG + SLQ, Nyström", False, _paper("nystrom"), ridged=True),
    "structured": Engine("paper: CG + SLQ, structured", False, _paper("structured"), ridged=True),
    "published": Engine("published trainer's step", False, lambda w, F, g: _of(published_step(w, F, SIGMA2))),
    "linear_operator": Engine("linear_operator", False, _linear_operator, ridged=True, module="linear_operator"),
    "cola": Engine("CoLA", False, _cola, ridged=True, largest=2500, module="cola"),
}
