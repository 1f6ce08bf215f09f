"""The command line: parses, calls, prints. A user's mistake is one line on stderr and exit code 2.

One file per command; business rules live in the rooms above. Start with `tree` (all commands), then `app` (how errors become one
line) and `console` (tables and progress bars).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs `varfx` and exits: 0 when all went well, 2 for a user's mistake, 130 after Ctrl-C."""
    try:
        from varfx.cli.app import run

        status = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # while libraries load, or before the words are known
        status = 130
    sys.exit(status)
