"""Pictures of a report, one module each: a Vega-Lite specification, and the same as a matplotlib figure.

Both are made from columns of plain values, and neither computes anything but places. Start with `forest`, the smallest;
`layout` has what specifications share, `varfx.report.html.theme` the colours. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.report.html.charts.associations import manhattan, quantiles
    from varfx.report.html.charts.forest import forest
    from varfx.report.html.charts.locus import locus_chart
    from varfx.report.html.charts.locus_data import LocusData

__all__ = ["LocusData", "forest", "locus_chart", "manhattan", "quantiles"]

export(
    __name__,
    {"associations": "manhattan quantiles", "forest": "forest", "locus": "locus_chart", "locus_data": "LocusData"},
)
