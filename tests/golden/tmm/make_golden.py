"""Writes `golden.json`: TMM factors of simulated counts by rnanorm, see README.md."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rnanorm import TMM

rng = np.random.default_rng(8)
mean = rng.gamma(0.4, 300, (120, 1)) * rng.uniform(0.3, 3, (1, 7)) * rng.lognormal(0, 0.6, (120, 7))
mean[100:, 3] *= 20  # composition differs in one sample
counts = rng.poisson(mean)
counts[:4] = 0
factors = TMM().fit(counts.T).get_norm_factors(counts.T)
golden = {"rnanorm": version("rnanorm"), "counts": counts.tolist(), "factors": [float(factor) for factor in factors]}
Path(__file__).with_name("golden.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
