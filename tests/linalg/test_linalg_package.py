import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import varfx.linalg
from varfx.linalg import LinearOperator, Outcome, Preconditioner


def test_the_public_names_are_these() -> None:
    assert varfx.linalg.__all__ == [
        "CholeskyPreconditioner",
        "DiagonalPreconditioner",
        "EigenPreconditioner",
        "Estimate",
        "Identity",
        "LinearOperator",
        "LowRankPreconditioner",
        "Outcome",
        "Preconditioner",
        "Probe",
        "ScaledGram",
        "Solution",
        "SymmetricEigen",
        "Tridiagonals",
        "cg",
        "control_variate",
        "draw_probes",
        "inverse_quadratic_diagonal",
        "inverse_trace",
        "quadrature_logdet",
        "symmetric_eigen",
    ]
    for name in varfx.linalg.__all__:
        assert getattr(varfx.linalg, name).__doc__, name


def test_interfaces_cannot_be_built() -> None:
    assert LinearOperator.__abstractmethods__ == {"like", "matmul", "diagonal"}
    assert Preconditioner.__abstractmethods__ == {
        "like", "solve", "sqrt_matmul", "sqrt_solve", "logdet",
    }  # fmt: skip


def test_importing_it_brings_no_genetics() -> None:
    code = "import sys, varfx.linalg; print([m for m in sys.modules if m.startswith('varfx.') and 'linalg' not in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['varfx._version', 'varfx.errors', 'varfx.short_repr']"


def test_the_manuals_example_runs_and_is_right() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "linalg.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    B, F = names["B"].double(), names["F"].double()
    dense = (B * F) @ B.T + 0.3 * torch.eye(500, dtype=torch.float64)
    inverse = torch.linalg.inv(dense)
    assert names["solution"].outcome is Outcome.CONVERGED
    assert abs(names["logdet"].value - torch.logdet(dense)) < 4 * names["logdet"].stderr
    assert abs(names["trace"].value - inverse.trace()) < 4 * names["trace"].stderr
    leverage = (B * (inverse @ B)).sum(dim=0)
    assert (names["leverage"].value - leverage).norm() < 0.2 * leverage.norm()
