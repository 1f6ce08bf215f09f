"""Hook of the documentation site: measured numbers and example configurations become part of it.

Pages link to `../benchmarks/results/X.json` and `../examples/X.yaml`, which works in a checkout; the site gets copies.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks/results", "examples")


def on_files(files: Files, *, config: Any) -> Files:
    """The site's files, with those of `FOLDERS`."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).iterdir()):
            if path.is_file():
                files.append(File.generated(config, f"{folder}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page whose links to `FOLDERS` stay within the site."""
    return re.sub(rf"\]\(\.\./((?:{'|'.join(FOLDERS)})/)", r"](\1", markdown)
