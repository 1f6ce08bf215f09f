"""One picture per module: a Vega-Lite specification and the same as a matplotlib figure, from columns of plain values."""
