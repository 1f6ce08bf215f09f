"""`varfx data`: public files for the examples and experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from varfx.cli.console import console, progress_bar
from varfx.io.output_lock import one_writer


@one_writer
def fetch(
    *names: str,
    out: Annotated[Path, Parameter(alias="-o")] = Path("varfx-data"),
    list_only: Annotated[bool, Parameter(name="--list", negative=())] = False,
) -> None:
    """Fetch the public files that the examples use, each from its own source, checked by checksum.

    Files that are there and whole are not fetched again. Set VARFX_DATA to the folder, and the examples find them.

        varfx data fetch --out varfx-data
        varfx data fetch polypred --out varfx-data
        varfx data fetch --list

    Args:
        names: Which data, by default all: see --list.
        out: The folder to write to.
        list_only: Show names, sizes, sources and licences, and fetch nothing.
    """
    from varfx.demos.fetch import fetch as fetch_files
    from varfx.demos.fetch import sources

    if list_only:
        table = Table("name", "files", "size", "licence", "source", "what")
        for each in sources():
            table.add_row(
                each.name, str(len(each.files)), f"{each.size / 1e6:.1f} MB", each.licence, each.source, each.what
            )
        console.print(table)
        return
    with progress_bar() as progress:
        paths = fetch_files(out, names, progress=progress)
    console.print(f"{len(paths)} files in {out}, all checked. Next: export VARFX_DATA={out.resolve()}", soft_wrap=True)
