"""Networks that score variants, the prior that turns scores into variances, and networks that predict expression.

Knows tensors only. Start with `config` (all sizes and choices), then `prior` and `expression`. Names load when first
used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.models.borzoi import Borzoi
    from varfx.models.borzoi_config import BorzoiConfig
    from varfx.models.config import EnformerConfig, ModelConfig, TrackEnformerConfig
    from varfx.models.constant import Constant
    from varfx.models.expression_config import ExpressionNetworkConfig
    from varfx.models.linear import Linear
    from varfx.models.mlp import MLP
    from varfx.models.prior import VariancePrior
    from varfx.models.track_enformer import TrackEnformer, TrackFeatures

__all__ = [
    "MLP",
    "Borzoi",
    "BorzoiConfig",
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
        "borzoi": "Borzoi",
        "borzoi_config": "BorzoiConfig",
        "config": "EnformerConfig ModelConfig TrackEnformerConfig",
        "constant": "Constant",
        "expression_config": "ExpressionNetworkConfig",
        "linear": "Linear",
        "mlp": "MLP",
        "prior": "VariancePrior",
        "track_enformer": "TrackEnformer TrackFeatures",
    },
)
