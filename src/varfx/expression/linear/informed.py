"""The functionally informed BLUP: `beta_j ~ N(0, h2_g sigma2_g f_j / sum f)`, `f = f_theta(what is known about the variant)`.

Each gene is one window of the engine that learns priors from GWAS: `B` = standardised genotypes (individuals x variants), `w` =
adjusted expression, both in the basis of the genotypes' range, where what is left over is known in closed form. h2 and sigma2
are each gene's own, by REML under theta; theta is shared and climbs the sum of the genes' restricted log-likelihoods. At the
maximum over (h2, sigma2) the gradient of that sum is the engine's closed gradient at fixed (h2, sigma2).

With equal f this is BLUP. Only training individuals of training genes teach theta; the tuning individuals choose how strongly it is
pulled to 0 (the flat prior), which is the first candidate.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray
from scipy.optimize import minimize
from torch import Tensor

from varfx.annotations import Standardiser
from varfx.errors import DataError
from varfx.expression.linear.config import InformedConfig
from varfx.expression.linear.fit import Genotypes, standardise
from varfx.expression.linear.heritability import Contrasts, log_likelihood, maximise, rotate
from varfx.ld import WhitenedWindow
from varfx.likelihood import exact
from varfx.models import ModelConfig, VariancePrior
from varfx.progress import Progress, silent

logger = logging.getLogger(__name__)
LEAST_VARIANTS = 2  # of a gene that can teach which variants matter


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneWindowData:
    """Training data of the shared prior from one gene in one fold.

    Attributes:
        gene_id: for messages.
        genotypes: of the training individuals.
        y: adjusted expression of the training individuals.
        tune_X: dosages of the tuning individuals.
        tune_y: their adjusted expression.
        channels: names of the columns of `values`.
        values: raw features of all variants, NaN where missing.
        missing: where.
    """

    gene_id: str
    genotypes: Genotypes
    y: Float64[ndarray, " individual"]
    tune_X: Float32[ndarray, "tune variant"]
    tune_y: Float64[ndarray, " tune"]
    channels: tuple[str, ...]
    values: Float32[ndarray, "variant channel"]
    missing: Bool[ndarray, "variant channel"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedPrior:
    """A shared prior.

    Attributes:
        prior: the network, float64.
        standardiser: of its features.
        penalty: the strength chosen; infinite for the flat prior.
        path: a record per candidate: `penalty` (None: flat), `log_p` (training individuals, nats), `tune_error` (squared error of
            the tuning individuals as a share of that of the training mean, mean over genes), `steps`.
        num_genes: that taught it.
    """

    prior: VariancePrior
    standardiser: Standardiser
    penalty: float
    path: tuple[dict[str, Any], ...]
    num_genes: int

    def variances(
        self,
        channels: Sequence[str],
        values: Float32[ndarray, "variant channel"],
        missing: Bool[ndarray, "variant channel"],
        heterozygosity: Float64[ndarray, " variant"],
    ) -> Float64[ndarray, " variant"]:
        """f of any variants, up to a factor."""
        if not values.shape[0]:
            return np.empty(0)
        features = torch.from_numpy(self.standardiser.apply(channels, values, missing)).double()
        with torch.no_grad():
            F = self.prior(features, torch.from_numpy(heterozygosity))[:, 0]
        return np.asarray(F.numpy())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the choice, and of a linear network its coefficients per standard deviation of a feature."""
        record: dict[str, Any] = {
            "penalty": None if math.isinf(self.penalty) else self.penalty,
            "num_genes": self.num_genes,
            "path": list(self.path),
            "alpha": float(self.prior.alpha.detach()[0]),
            "features": self.standardiser.to_dict(),
        }
        if self.prior.config.kind == "linear":
            weights = next(self.prior.network.parameters()).detach()[0].tolist()
            record["coefficients"] = dict(zip(self.standardiser.feature_names, weights, strict=True))
        return record


def learn_prior(
    genes: Sequence[GeneWindowData],
    config: InformedConfig,
    *,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> LearnedPrior:
    """The shared prior of these genes.

    Args:
        genes: training genes in one fold; those with fewer than two varying variants teach nothing.
        config: how.
        executor: threads that share the genes among them; the result does not depend on it.
        progress: told about each candidate.

    Raises:
        DataError: no gene has two varying variants.
    """
    genes = [gene for gene in genes if gene.genotypes.Z.shape[1] >= LEAST_VARIANTS]
    if not genes:
        raise DataError("no training gene has two variants that vary: an informed prior cannot be learned.")
    kept = [gene.genotypes.kept for gene in genes]
    channels = genes[0].channels
    values = np.concatenate([gene.values[rows] for gene, rows in zip(genes, kept, strict=True)])
    missing = np.concatenate([gene.missing[rows] for gene, rows in zip(genes, kept, strict=True)])
    standardiser = Standardiser.fit(channels, values, missing)
    features = torch.from_numpy(standardiser.apply(channels, values, missing)).double()
    heterozygosity = torch.from_numpy(np.concatenate([gene.genotypes.heterozygosity for gene in genes]))
    problems = [_Problem.of(gene) for gene in genes]
    model = ModelConfig(kind=config.network, link="exp", hidden=config.hidden)
    prior = VariancePrior(model, features.shape[1], 1, seed=(config.seed or 0)).double()
    objective = _Objective(prior, features, heterozygosity, problems, executor)
    start = objective.parameters()
    flat = objective.evaluate(start)
    best = (objective.tune_error(start), start, math.inf)
    path: list[dict[str, Any]] = [{"penalty": None, "log_p": flat[0], "tune_error": best[0], "steps": 0}]
    place, worse = start, 0
    for number, penalty in enumerate(config.penalties, start=1):
        found = minimize(
            objective.penalised,
            place,
            args=(penalty, start),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": config.max_steps, "ftol": 1e-9, "gtol": 1e-4},
        )
        place = found.x
        error = objective.tune_error(place)
        path.append(
            {"penalty": penalty, "log_p": objective.evaluate(place)[0], "tune_error": error, "steps": int(found.nit)}
        )
        progress(number, len(config.penalties), "strengths of the prior")
        worse = 0 if error < best[0] else worse + 1
        if error < best[0]:
            best = (error, place, penalty)
        if worse > config.patience - 1:
            break
    objective.set_parameters(best[1])
    return LearnedPrior(
        prior=prior, standardiser=standardiser, penalty=best[2], path=tuple(path), num_genes=len(problems)
    )


@dataclass(frozen=True, eq=False)
class _Problem:
    """One gene in the basis of its genotypes' range.

    Attributes:
        window: `B = U' Z`, `w = U' y`.
        num_rest: contrasts without a genetic part.
        rest_squares: sum of squares of y along them.
        tune_Z: the tuning individuals, standardised as the training individuals.
        tune_y: their expression, minus the training mean.
    """

    window: WhitenedWindow
    num_rest: int
    rest_squares: float
    tune_Z: Float64[ndarray, "tune variant"]
    tune_y: Float64[ndarray, " tune"]

    @classmethod
    def of(cls, gene: GeneWindowData) -> _Problem:
        genotypes = gene.genotypes
        contrasts = rotate(genotypes.Z, gene.y)
        B = torch.from_numpy(np.ascontiguousarray(contrasts.U.T @ genotypes.Z))
        return cls(
            WhitenedWindow(B=B, w=torch.from_numpy(contrasts.u.copy())),
            contrasts.num_rest,
            contrasts.rest_squares,
            (gene.tune_X[:, genotypes.kept] - genotypes.mean) / genotypes.sd,
            gene.tune_y - gene.y.mean(),
        )

    def variances(self, f: Float64[ndarray, " variant"]) -> tuple[Contrasts, float, float]:
        """Contrasts, h2 and sigma2 by REML under relative variances `f` of mean 1."""
        B = self.window.B.numpy()
        d, U = np.linalg.eigh((B * (f / f.size)) @ B.T)
        contrasts = Contrasts(
            d=np.maximum(d, 0.0),
            U=U,
            u=U.T @ self.window.w.numpy(),
            num_rest=self.num_rest,
            rest_squares=self.rest_squares,
        )
        h2 = maximise(contrasts)
        return contrasts, h2, log_likelihood(contrasts, h2)[1]

    def value_and_gradient(self, f: Float64[ndarray, " variant"]) -> tuple[float, Float64[ndarray, " variant"]]:
        """The restricted log-likelihood at the best (h2, sigma2), and its gradient to log f."""
        f = f / f.mean()
        contrasts, h2, sigma2 = self.variances(f)
        if h2 == 0:
            return log_likelihood(contrasts, 0.0)[0], np.zeros_like(f)
        scale, residual = h2 * sigma2 / f.size, (1 - h2) * sigma2
        result = exact(self.window, torch.from_numpy(scale * f), residual, dtype=torch.float64)
        rest = -0.5 * (self.num_rest * math.log(2 * math.pi * residual) + self.rest_squares / residual)
        slope = f * (scale * result.grad_F.numpy())
        return float(result.log_p) + rest, slope - f * slope.mean()

    def relative_error(self, f: Float64[ndarray, " variant"]) -> float:
        """Sum of squares of the tuning individuals' errors, as a share of that of the training mean's errors."""
        f = f / f.mean()
        contrasts, h2, _ = self.variances(f)
        if h2 == 0:
            return 1.0
        dual = contrasts.U @ (contrasts.u / (f.size * contrasts.d + f.size * (1 - h2) / h2))
        beta = f * (self.window.B.numpy().T @ dual)
        error = self.tune_y - self.tune_Z @ beta
        return float(error @ error) / float(self.tune_y @ self.tune_y)


class _Objective:
    """The sum over genes as a function of the network's parameters and alpha, as one vector."""

    def __init__(
        self,
        prior: VariancePrior,
        features: Tensor,
        heterozygosity: Tensor,
        problems: Sequence[_Problem],
        executor: Executor | None,
    ) -> None:
        self._prior, self._features, self._heterozygosity = prior, features, heterozygosity
        self._problems, self._executor = problems, executor
        self._learned = [*prior.network.parameters(), prior.alpha]
        bounds = np.cumsum([0, *(problem.window.num_variants for problem in problems)])
        self._rows = [slice(a, b) for a, b in itertools.pairwise(bounds)]

    def parameters(self) -> Float64[ndarray, " parameter"]:
        return np.concatenate([each.detach().numpy().ravel() for each in self._learned])

    @torch.no_grad()
    def set_parameters(self, vector: Float64[ndarray, " parameter"]) -> None:
        place = 0
        for each in self._learned:
            each.copy_(torch.from_numpy(vector[place : place + each.numel()].copy()).view_as(each))
            place += each.numel()

    def evaluate(self, vector: Float64[ndarray, " parameter"]) -> tuple[float, Float64[ndarray, " parameter"]]:
        """The log-likelihood of all genes, in nats, and its gradient."""
        self.set_parameters(vector)
        F = self._prior(self._features, self._heterozygosity)[:, 0]
        f = F.detach().numpy()
        tasks = [(problem, f[rows]) for problem, rows in zip(self._problems, self._rows, strict=True)]
        results = self._map(lambda task: task[0].value_and_gradient(task[1]), tasks)
        to_log = torch.from_numpy(np.concatenate([slope for _, slope in results]))
        gradients = torch.autograd.grad(F, self._learned, to_log / F.detach())
        return sum(value for value, _ in results), np.concatenate([each.numpy().ravel() for each in gradients])

    def penalised(
        self, vector: Float64[ndarray, " parameter"], penalty: float, center: Float64[ndarray, " parameter"]
    ) -> tuple[float, Float64[ndarray, " parameter"]]:
        """The objective, to be minimised."""
        value, gradient = self.evaluate(vector)
        away = vector - center
        return penalty / 2 * float(away @ away) - value, penalty * away - gradient

    def tune_error(self, vector: Float64[ndarray, " parameter"]) -> float:
        """Mean over genes of the tuning individuals' relative error; every gene counts the same."""
        self.set_parameters(vector)
        with torch.no_grad():
            f = self._prior(self._features, self._heterozygosity)[:, 0].numpy()
        tasks = [(problem, f[rows]) for problem, rows in zip(self._problems, self._rows, strict=True)]
        return float(np.mean(self._map(lambda task: task[0].relative_error(task[1]), tasks)))

    def _map(self, function: Any, tasks: list[Any]) -> list[Any]:
        return list(map(function, tasks) if self._executor is None else self._executor.map(function, tasks))


def gene_window_data(
    gene_id: str,
    X: Float32[ndarray, "individual variant"],
    y: Float64[ndarray, " individual"],
    train: ndarray,
    tune: ndarray,
    features: tuple[tuple[str, ...], Float32[ndarray, "variant channel"], Bool[ndarray, "variant channel"]],
) -> GeneWindowData:
    """One gene for `learn_prior`, from all individuals' dosages and adjusted expression."""
    channels, values, missing = features
    return GeneWindowData(
        gene_id=gene_id,
        genotypes=standardise(X[train]),
        y=y[train],
        tune_X=X[tune],
        tune_y=y[tune],
        channels=channels,
        values=values,
        missing=missing,
    )
