"""One self-contained page from plain data: blocks, charts as Vega-Lite specifications or pictures, the document around them.

Nothing is read or computed here: `varfx.pages` gathers what a page shows. Start with `blocks` (what a page is made of), then
`document` (how it becomes one file); `charts` has a module per picture.
"""
