"""Enformer on tracks: the score of a variant from the signals around it, base by base, and its own predictors.

    tracks (variant, track, w) -> stem, tower -> bins + W_p predictors -> transformer -> pointwise
    score = W_out [ bin of the variant | mean over bins | predictors ]                         W_out starts at 0

After the paper's section 4 and appendix B.3, which name the architecture and its width but not where the predictors enter. Here
they enter twice: before the transformer, so that they act together with the tracks; and in the output, so that a linear model
of them is a special case. With W_out = 0 training starts exactly at the constant model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from varfx.errors import ConfigError, DataError
from varfx.models.channel_norm import calibration
from varfx.models.config import TrackEnformerConfig
from varfx.models.enformer import Enformer
from varfx.models.trunk import checkpointed


class TrackFeatures(Protocol):
    """Inputs of a window's variants; tracks are cut out on the device when needed."""

    @property
    def predictors(self) -> Float[Tensor, "variant predictor"]:
        """Standardised predictors of every variant."""

    def gather(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "row track position"]:
        """Standardised tracks around the variants `rows`; the variant stands at position `w // 2`."""


@dataclass(frozen=True, eq=False)
class DenseTracks:
    """Tracks that are cut out already: for small data."""

    tracks: Float[Tensor, "variant track position"]
    predictors: Float[Tensor, "variant predictor"]

    def gather(self, rows: Int[Tensor, " row"]) -> Float[Tensor, "row track position"]:
        """The tracks of some variants."""
        return self.tracks[rows]


class TrackEnformer(nn.Module):
    """Scores of variants, one per trait; takes the place of the other networks in `VariancePrior`.

    Args:
        config: its sizes.
        num_tracks: tracks; their order is the caller's, the same in every call.
        num_predictors: predictors per variant; may be 0.
        num_traits: outputs.
        generator: where the first weights come from.
    """

    def __init__(
        self,
        config: TrackEnformerConfig,
        num_tracks: int,
        num_predictors: int,
        num_traits: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if num_tracks < 1:
            raise ConfigError(f"`num_tracks` must be at least 1, got {num_tracks}. Without tracks take linear or mlp.")
        self.config = config
        self.num_tracks = num_tracks
        self.num_predictors = num_predictors
        self.trunk = Enformer(config.trunk(num_tracks), generator=generator)
        self.predictors_in = nn.Linear(num_predictors, config.width, bias=False) if num_predictors else None
        self.output = nn.Linear(4 * config.width + num_predictors, num_traits, bias=False)
        with torch.no_grad():
            if self.predictors_in is not None:
                bound = num_predictors**-0.5
                self.predictors_in.weight.uniform_(-bound, bound, generator=generator)
            bound = 0.0 if config.zero_output else (3 / self.output.in_features) ** 0.5  # score variance about 1
            self.output.weight.uniform_(-bound, bound, generator=generator)

    def forward(self, features: TrackFeatures) -> Float[Tensor, "variant trait"]:
        """The scores of all variants of a window, in passes of `variants_per_pass`.

        When there are several passes, each is computed again in the backward pass (its tracks are gathered again too), so
        that memory is that of one pass. Values and gradients do not depend on the cut, unless `norm` is `batch` or there is
        dropout.

        Raises:
            DataError: tracks or predictors of another shape than the network was made for.
        """
        predictors = features.predictors
        rows = torch.split(torch.arange(len(predictors), device=predictors.device), self.config.variants_per_pass)

        def score_rows(chosen: Tensor) -> Tensor:
            return self.score(features.gather(chosen), predictors[chosen])

        if len(rows) < 2 or not torch.is_grad_enabled():
            return torch.cat([score_rows(chosen) for chosen in rows])
        return torch.cat([checkpointed(score_rows, self, chosen) for chosen in rows])

    def score(
        self,
        tracks: Float[Tensor, "variant track position"],
        predictors: Float[Tensor, "variant predictor"],
    ) -> Float[Tensor, "variant trait"]:
        """The scores of variants in one pass.

        Args:
            tracks: standardised, the variant at position `w // 2`.
            predictors: standardised.

        Raises:
            DataError: as `forward`.
        """
        shapes = (tuple(tracks.shape[1:]), tuple(predictors.shape[1:]))
        wanted = ((self.num_tracks, self.config.window), (self.num_predictors,))
        if shapes != wanted or len(tracks) != len(predictors):
            raise DataError(
                f"the network takes {wanted[0]} tracks x positions and {wanted[1][0]} predictors a variant; got tracks "
                f"{tuple(tracks.shape)} and predictors {tuple(predictors.shape)}. Use the features it was made for, in order."
            )
        x = self.trunk.convolve(tracks)
        if self.predictors_in is not None:
            x = x + self.predictors_in(predictors)[:, None]
        x = self.trunk.pointwise(self.trunk.attend(x, slice(0, x.shape[1], 1)))
        centre = (self.config.window // 2) // self.trunk.config.bin_size
        return self.output(torch.cat([x[:, centre], x.mean(dim=1), predictors.to(x.dtype)], dim=1))  # type: ignore[no-any-return]

    @torch.no_grad()
    def calibrate(self, features: TrackFeatures) -> None:
        """Sets the statistics of the normalisation to those of up to `variants_per_pass` variants spread over the window.

        Call it once before training: the weights are random then, and averages that start at 0 and 1 would shrink the signal
        from layer to layer.
        """
        count = features.predictors.shape[0]
        chosen = torch.linspace(0, count - 1, min(count, self.config.variants_per_pass), dtype=torch.float64)
        rows = chosen.round().long().to(features.predictors.device)
        with calibration(self):
            self.score(features.gather(rows), features.predictors[rows])
