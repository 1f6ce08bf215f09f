"""Integrated gradients: how much each input contributes to a variant's log f (Sundararajan et al., ICML 2017).

    a_j = (x_j - b_j) * integral over t from 0 to 1 of  d log f / d x_j  at  b + t (x - b)
    sum over j of a_j = log f(x) - log f(b)                                             (completeness)

b is the baseline: 0, the mean of standardised inputs. The integral is a Gauss-Legendre sum. Its error is known for every
variant from completeness: variants where it is too large are done again with twice as many steps.

The network computes in evaluation mode and in full precision, however it was trained. Only what it sees is attributed. Scale and frequency (`alpha`) are the same for x and b, and drop out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from varfx.errors import DataError
from varfx.models.config import AttributionConfig
from varfx.models.full_precision import full_precision
from varfx.models.prior import VariancePrior, log_link
from varfx.models.track_enformer import TrackEnformer, TrackFeatures

Function = Callable[..., Tensor]  # tensors (variant, ...) -> (variant,)


@dataclass(frozen=True, eq=False)
class Attribution:
    """Contribution of each input to each variant's log f.

    Attributes:
        parts: one tensor an input, of its shape, (variant, ...).
        value: log of the link at the inputs: log f but for scale and frequency, (variant,).
        total: log f at the inputs minus log f at the baseline, (variant,).
        error: `total` minus the sum of all contributions, (variant,).
        steps: points of the integral, (variant,).
    """

    parts: tuple[Tensor, ...]
    value: Float[Tensor, " variant"]
    total: Float[Tensor, " variant"]
    error: Float[Tensor, " variant"]
    steps: Int[Tensor, " variant"]


def attribute_features(
    prior: VariancePrior,
    features: Float[Tensor, "variant feature"],
    *,
    trait: int = 0,
    baseline: Float[Tensor, " feature"] | None = None,
    config: AttributionConfig | None = None,
) -> Attribution:
    """Contributions of the features to log f of one trait, as `parts[0]`, (variant, feature).

    Args:
        prior: a prior over features.
        features: standardised.
        trait: which output.
        baseline: 0, the mean of standardised features, by default.
        config: steps and tolerance.
    """

    def log_f(x: Tensor) -> Tensor:
        return log_link(prior.network(x), prior.config.link)[:, trait]

    start = features.new_zeros(features.shape[1]) if baseline is None else baseline.to(features)
    return _in_passes(log_f, prior, (features,), (start,), config or AttributionConfig())


def attribute_tracks(
    prior: VariancePrior,
    tracks: Float[Tensor, "variant track position"],
    predictors: Float[Tensor, "variant predictor"],
    *,
    trait: int = 0,
    baseline: tuple[Float[Tensor, "track position"], Float[Tensor, " predictor"]] | None = None,
    config: AttributionConfig | None = None,
) -> Attribution:
    """Contributions to log f of one trait of each track's bases, `parts[0]`, and of the predictors, `parts[1]`.

    Args:
        prior: a prior whose network is a `TrackEnformer`.
        tracks: standardised, the variant at position `w // 2`.
        predictors: standardised.
        trait: which output.
        baseline: 0, the mean of standardised signals, by default.
        config: steps and tolerance.

    Raises:
        DataError: the network takes no tracks, or others.
    """
    network = prior.network
    if not isinstance(network, TrackEnformer):
        raise DataError(f"`prior` is a model of kind {prior.config.kind}, which takes no tracks. Give its features.")

    def log_f(x: Tensor, more: Tensor) -> Tensor:
        return log_link(network.score(x, more), prior.config.link)[:, trait]

    if baseline is None:
        baseline = tracks.new_zeros(tracks.shape[1:]), predictors.new_zeros(predictors.shape[1:])
    return _in_passes(log_f, prior, (tracks, predictors), baseline, config or AttributionConfig())


def attribute(
    prior: VariancePrior,
    features: Float[Tensor, "variant feature"] | TrackFeatures,
    rows: Int[Tensor, " row"],
    *,
    trait: int = 0,
    config: AttributionConfig | None = None,
) -> Attribution:
    """Contributions for some variants of a window, from whichever features the prior's network takes; the baseline is 0.

    Args:
        prior: features or tracks go with its network.
        features: of the window.
        rows: variants.
        trait: which output.
        config: steps and tolerance.
    """
    dtype = next(iter(prior.network.parameters()), prior.scale).dtype
    if isinstance(features, Tensor):
        return attribute_features(prior, features[rows].to(dtype), trait=trait, config=config)
    tracks, predictors = features.gather(rows).to(dtype), features.predictors[rows].to(dtype)
    return attribute_tracks(prior, tracks, predictors, trait=trait, config=config)


def integrated_gradients(
    function: Function, inputs: Sequence[Tensor], baselines: Sequence[Tensor], steps: int
) -> tuple[Tensor, ...]:
    """Contributions of the inputs to `function`, by a Gauss-Legendre sum; exact where the gradients along the way from the
    baseline are a polynomial in t of degree up to `2 steps - 1`.

    Args:
        function: from tensors (variant, ...) to (variant,); a variant's value must not depend on the others.
        inputs: (variant, ...) each.
        baselines: of the inputs' shapes without variants.
        steps: points.
    """
    differences = [x.detach() - start for x, start in zip(inputs, baselines, strict=True)]
    sums = [torch.zeros_like(difference) for difference in differences]
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        points = [
            (start + float(node) * difference).requires_grad_()
            for start, difference in zip(baselines, differences, strict=True)
        ]
        with torch.enable_grad():
            value = function(*points).sum()
        if not value.requires_grad:  # a function that looks at none of its inputs
            continue
        gradients = torch.autograd.grad(value, points, allow_unused=True, materialize_grads=True)
        for total, gradient in zip(sums, gradients, strict=True):
            total += float(weight) * gradient
    return tuple(difference * total for difference, total in zip(differences, sums, strict=True))


def _in_passes(
    function: Function,
    prior: VariancePrior,
    inputs: tuple[Tensor, ...],
    baselines: tuple[Tensor, ...],
    config: AttributionConfig,
) -> Attribution:
    """The contributions, `variants_per_pass` variants at a time, each as exact as asked for."""
    trained = [(parameter, parameter.requires_grad) for parameter in prior.parameters()]
    try:
        for parameter, _ in trained:
            parameter.requires_grad_(False)
        with full_precision(prior.network):  # in bfloat16 completeness fails in the third digit
            done = [
                _converged(function, parts, baselines, config)
                for parts in zip(*(torch.split(x, config.variants_per_pass) for x in inputs), strict=True)
            ]
    finally:
        for parameter, flag in trained:
            parameter.requires_grad_(flag)
    return Attribution(
        tuple(torch.cat([each.parts[i] for each in done]) for i in range(len(inputs))),
        *(torch.cat([getattr(each, name) for each in done]) for name in ("value", "total", "error", "steps")),
    )


def _converged(
    function: Function, inputs: tuple[Tensor, ...], baselines: tuple[Tensor, ...], config: AttributionConfig
) -> Attribution:
    """The contributions of one pass; variants beyond the tolerance are repeated with more steps."""
    with torch.no_grad():
        value = function(*inputs)
        total = value - function(*(start[None] for start in baselines))
    parts = [torch.zeros_like(x) for x in inputs]
    error, steps = torch.zeros_like(total), torch.zeros(total.shape, dtype=torch.long, device=total.device)
    rows, count = torch.arange(len(total), device=total.device), config.steps
    while len(rows):
        found = integrated_gradients(function, [x[rows] for x in inputs], baselines, count)
        for part, values in zip(parts, found, strict=True):
            part[rows] = values
        explained = sum(values.flatten(1).double().sum(1) for values in found)
        error[rows] = (total[rows].double() - explained).to(total.dtype)
        steps[rows] = count
        if count >= config.max_steps:
            break
        rows, count = rows[error[rows].abs() > config.tolerance], min(2 * count, config.max_steps)
    return Attribution(tuple(parts), value, total, error, steps)
