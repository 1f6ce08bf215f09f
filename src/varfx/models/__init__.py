"""Networks that score variants, and the prior that turns scores into variances."""

from varfx.models.constant import Constant
from varfx.models.linear import Linear
from varfx.models.mlp import MLP
from varfx.models.prior import ModelConfig, VariancePrior
from varfx.models.track_enformer import TrackEnformer, TrackEnformerConfig, TrackFeatures

__all__ = [
    "MLP",
    "Constant",
    "Linear",
    "ModelConfig",
    "TrackEnformer",
    "TrackEnformerConfig",
    "TrackFeatures",
    "VariancePrior",
]
