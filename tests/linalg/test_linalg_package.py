import subprocess
import sys

import varfx.linalg
from varfx.linalg import LinearOperator, Preconditioner


def test_the_public_names_are_these() -> None:
    assert varfx.linalg.__all__ == [
        "Dense",
        "Diagonal",
        "DiagonalPreconditioner",
        "EigenPreconditioner",
        "Estimate",
        "Identity",
        "Lanczos",
        "LinearOperator",
        "Nystrom",
        "Outcome",
        "Preconditioner",
        "Probe",
        "ScaledGram",
        "Solution",
        "Sum",
        "SymmetricEigen",
        "Tridiagonals",
        "cg",
        "control_variate",
        "draw_probes",
        "hutchinson_diagonal",
        "hutchinson_trace",
        "inverse_quadratic_diagonal",
        "inverse_trace",
        "lanczos",
        "nystrom",
        "quadrature_logdet",
        "stochastic_logdet",
        "symmetric_eigen",
    ]
    for name in varfx.linalg.__all__:
        assert getattr(varfx.linalg, name).__doc__, name


def test_interfaces_cannot_be_built() -> None:
    assert LinearOperator.__abstractmethods__ == {"size", "dtype", "device", "matmul", "diagonal"}
    assert Preconditioner.__abstractmethods__ == {
        "size", "dtype", "device", "solve", "sqrt_matmul", "sqrt_solve", "logdet",
    }  # fmt: skip


def test_importing_it_brings_no_genetics() -> None:
    code = "import sys, varfx.linalg; print([m for m in sys.modules if m.startswith('varfx.') and 'linalg' not in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['varfx._version', 'varfx.errors']"
