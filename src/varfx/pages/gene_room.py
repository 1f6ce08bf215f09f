"""Room for pages of genes: complete ones for the first, short ones for the next, none for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from varfx.report.html.blocks import Block, Chart, charts_of
from varfx.report.html.render import html_of

PICTURE = 60_000  # bytes of a chart as PNG in the file
HEADING = 1_000  # bytes of a page's heading, links and routes

BuildPage = Callable[[int], list[Block]]  # of the gene at a place


def fitting_pages(
    count: int, complete: BuildPage, short: BuildPage, room: int, *, static: bool
) -> tuple[list[list[Block]], int]:
    """Pages of the first genes as far as there is room, and the number of complete ones among them, which come first.

    Short pages of the genes that follow are kept room for, up to half of all. The first gene has a complete page at any size.

    Args:
        count: genes.
        complete: builds a complete page.
        short: builds a short page.
        room: bytes of all pages.
        static: charts as pictures.
    """
    shorts = [short(place) for place in range(count)]
    sizes = [page_bytes(blocks, static=static) for blocks in shorts]
    pages: list[list[Block]] = []
    used, following = 0, sum(sizes)
    for place in range(count):
        following -= sizes[place]
        blocks = complete(place)
        size = page_bytes(blocks, static=static)
        if pages and used + size + min(following, room // 2) > room:
            break
        pages.append(blocks)
        used += size
    whole = len(pages)
    for blocks, size in zip(shorts[whole:], sizes[whole:], strict=True):
        used += size
        if used > room:
            break
        pages.append(blocks)
    return pages, whole


def page_bytes(blocks: Sequence[Block], *, static: bool) -> int:
    """Bytes of a gene's page in the file; of pictures about as many."""
    pictures = len(charts_of(blocks)) if static else 0
    shown = [block for block in blocks if not (static and isinstance(block, Chart))]
    return HEADING + PICTURE * pictures + len(html_of(shown, static=static).encode())
