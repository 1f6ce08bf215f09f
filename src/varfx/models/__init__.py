"""Networks that score variants, the prior that turns scores into variances, and networks that predict expression.

Knows tensors only. Start with `config` (all sizes and choices), then `prior` and `expression`. Names load when first
used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.models.config import EnformerConfig, ExpressionNetworkConfig, ModelConfig, TrackEnformerConfig
    from varfx.models.constant import Constant
    from varfx.models.linear import Linear
    from varfx.models.mlp import MLP
    from varfx.models.prior import VariancePrior
    from varfx.models.track_enformer import TrackEnformer, TrackFeatures

__all__ = [
    "MLP",
    "Constant",
    "EnformerConfig",
    "ExpressionNetworkConfig",
    "Linear",
    "ModelConfig",
    "TrackEnformer",
    "TrackEnformerConfig",
    "TrackFeatures",
    "VariancePrior",
]

export(
    __name__,
    {
        "config": "EnformerConfig ExpressionNetworkConfig ModelConfig TrackEnformerConfig",
        "constant": "Constant",
        "linear": "Linear",
        "mlp": "MLP",
        "prior": "VariancePrior",
        "track_enformer": "TrackEnformer TrackFeatures",
    },
)
