"""Linkage disequilibrium: windows, whitening, and the panel on disk.

Start with `whiten` (one window), then `build` (all of them) and `store` (the panel). Names load when first used: whitening without
polars and zarr.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.ld.build import build_panel
    from varfx.ld.config import PanelConfig
    from varfx.ld.store import LDPanel, PanelWindow, open_panel
    from varfx.ld.whiten import Factors, WhitenedWindow, whiten
    from varfx.ld.windows import Core

__all__ = [
    "Core",
    "Factors",
    "LDPanel",
    "PanelConfig",
    "PanelWindow",
    "WhitenedWindow",
    "build_panel",
    "open_panel",
    "whiten",
]

export(
    __name__,
    {
        "build": "build_panel",
        "config": "PanelConfig",
        "store": "LDPanel PanelWindow open_panel",
        "whiten": "Factors WhitenedWindow whiten",
        "windows": "Core",
    },
)
