"""Effect distributions other than the normal one: a polygenic background and sparse larger effects, sampled.

Start with `shape` (the distribution), then `gibbs` (its posterior in one window), `learn` (its hyperparameters), `evidence` (which
distribution fits best) and `posterior` (over a genome); `varfx.prior.weights` calls them.
"""
