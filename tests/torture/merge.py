"""Puts the counts of several campaigns into one JSON file, and prints them as the table of docs/reliability.md.

python -m torture.merge one.json two.json --out benchmarks/results/torture.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torture.tally import Record


def main() -> int:
    """Merges the files into the one named by --out; 1 if any part has a finding or a mishap."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="made by `python -m torture`")
    parser.add_argument("--out", type=Path, required=True, help="the file of all; counts in it stay")
    options = parser.parse_args()
    missing = [str(path) for path in options.files if not path.is_file()]
    if missing:
        parser.error(f"there is no {missing[0]}")
    record = Record(options.out)
    for path in options.files:
        record.merge(Record(path))
    record.write()
    print(table(record))
    return int(not record.is_good)


def table(record: Record) -> str:
    """The sums of a record in Markdown."""
    rows = ["| campaign | readers or commands | tries | fewest of one | findings |", "|---|---|---|---|---|"]
    for campaign, sums in record.sums.items():
        numbers = [f"{sums[name]:,}" for name in ("parts", "tries", "fewest", "findings")]
        rows.append(f"| `{campaign}` | {' | '.join(numbers)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
