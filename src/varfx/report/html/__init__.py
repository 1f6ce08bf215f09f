"""One self-contained page from plain data: blocks, charts as Vega-Lite specifications or pictures, the document around them.

Nothing is read or computed here: `varfx.pages` gathers what a page shows. Start with `blocks` (what a page is made of), then
`document` (how it becomes one file); `charts` has a module per picture. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.report.html.blocks import Chart, Page, Section, Table

__all__ = ["Chart", "Page", "Section", "Table"]

export(__name__, {"blocks": "Chart Page Section Table"})
