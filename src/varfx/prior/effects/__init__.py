"""Effect distributions other than the normal one: a polygenic background and sparse larger effects, sampled.

Start with `shape` (the distribution), then `gibbs` (its posterior in one window; `visit` is its inner loop), `learn` (its
hyperparameters), `evidence` and `compare` (which distribution fits best), `choose` and `posterior` (over a genome);
`varfx.prior.weights` calls them. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.effects.choose import TraitEffects, trait_effects
    from varfx.prior.effects.config import EffectsConfig
    from varfx.prior.effects.learn import learn_shape
    from varfx.prior.effects.posterior import EffectsPosterior, effects_posterior
    from varfx.prior.effects.shape import EffectShape

__all__ = [
    "EffectShape",
    "EffectsConfig",
    "EffectsPosterior",
    "TraitEffects",
    "effects_posterior",
    "learn_shape",
    "trait_effects",
]

export(
    __name__,
    {
        "choose": "TraitEffects trait_effects",
        "config": "EffectsConfig",
        "learn": "learn_shape",
        "posterior": "EffectsPosterior effects_posterior",
        "shape": "EffectShape",
    },
)
