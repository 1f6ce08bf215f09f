"""The second head of a prior with sparse effects: each variant's log-odds of a sparse effect, and what all variants share.

    log pi_m / (1 - pi_m) = offset + alpha log 4 p_m (1 - p_m) + score_m

`score_m` is the network's second output per trait; the first is that of the variance (`varfx.models.prior`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

SIZES = (1.0, 6.0, 36.0, 216.0)  # variances of the slabs relative to each other
FIRST_CHANCE = 0.03  # of a sparse effect, before any learning
MOST_LOG_ODDS = 14.0


class MixtureHead(nn.Module):
    """Log-odds of a sparse effect, the share of the polygenic background, and the slabs' probabilities, per trait.

    Args:
        num_traits: outputs.
    """

    def __init__(self, num_traits: int) -> None:
        super().__init__()
        chance = torch.tensor(FIRST_CHANCE)
        self.offset = nn.Parameter(chance.logit().repeat(num_traits))
        self.alpha = nn.Parameter(torch.zeros(num_traits))
        self.background_logit = nn.Parameter(torch.zeros(num_traits))
        # each slab has the same share of the variance
        self.slab_logits = nn.Parameter(-torch.tensor(SIZES).log().repeat(num_traits, 1))

    @property
    def background(self) -> Float[Tensor, " trait"]:
        """kappa: share of each variance that the polygenic background has."""
        return self.background_logit.sigmoid()

    @property
    def slabs(self) -> Float[Tensor, "trait slab"]:
        """Probability of each slab, given a sparse effect."""
        return self.slab_logits.softmax(1)

    def forward(
        self, score: Float[Tensor, "variant trait"], log_heterozygosity: Float[Tensor, " variant"]
    ) -> Float[Tensor, "variant trait"]:
        """Log-odds of a sparse effect; `log_heterozygosity` is log 4 p (1 - p)."""
        log_odds = self.offset + self.alpha * log_heterozygosity[:, None] + score
        return log_odds.clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)
