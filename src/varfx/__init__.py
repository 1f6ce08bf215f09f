"""varfx learns which DNA variants matter: variance priors from GWAS by their full marginal likelihood given LD.

`import varfx` is quick: torch and everything above it load when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from varfx._version import __version__
from varfx.errors import VarfxError

if TYPE_CHECKING:
    from varfx import (
        annotations,
        expression,
        finemap,
        genome,
        genotypes,
        gwas,
        ld,
        likelihood,
        linalg,
        models,
        pages,
        prior,
        qc,
        report,
        tracks,
        training,
    )
    from varfx.ld import WhitenedWindow

__all__ = [
    "VarfxError",
    "WhitenedWindow",
    "__version__",
    "annotations",
    "expression",
    "finemap",
    "genome",
    "genotypes",
    "gwas",
    "ld",
    "likelihood",
    "linalg",
    "models",
    "pages",
    "prior",
    "qc",
    "report",
    "tracks",
    "training",
]

_SUBPACKAGES = frozenset(__all__) - {"VarfxError", "WhitenedWindow", "__version__"}


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"varfx.{name}")
    if name == "WhitenedWindow":
        return importlib.import_module("varfx.ld").WhitenedWindow
    raise AttributeError(f"module 'varfx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
