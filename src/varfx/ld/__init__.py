"""Linkage disequilibrium: windows, whitening, and the panel on disk."""

from varfx.ld.build import PanelConfig, build_panel
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
