"""`make torture`: runs the campaigns for some minutes and writes their counts as JSON."""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

from torture.fuzz import fuzz
from torture.readers import make_samples, preload, readers


def main() -> int:
    """Runs the campaigns; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="time for all campaigns")
    parser.add_argument("--mutations", type=int, default=10_000, help="of each reader, at most")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--only", default="", help="readers whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("torture.json"))
    options = parser.parse_args()
    counts: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        root, scratch = Path(name) / "samples", Path(name) / "scratch"
        # In a process of its own: children of one whose polars has begun its threads would wait for them for ever.
        maker = multiprocessing.get_context("spawn").Process(target=make_samples, args=(root,))
        maker.start()
        maker.join()
        preload()
        chosen = [reader for reader in readers(root) if options.only in reader.name]
        end = time.monotonic() + 60 * options.minutes
        for number, reader in enumerate(chosen):
            share = (end - time.monotonic()) * reader.share / sum(each.share for each in chosen[number:])
            seeds = range(options.first, options.first + math.ceil(options.mutations * reader.share))
            found = fuzz(reader, root / reader.sample, scratch, seeds, time.monotonic() + share)
            counts[reader.name] = found.as_dict()
            print(
                f"{reader.name}: {found.tries} tries, {found.read} read, {found.refused} refused",
                found.first or "",
                flush=True,
            )
    options.out.write_text(json.dumps({"readers": counts}, indent=2) + "\n")
    return int(any(each["findings"] for each in counts.values()))  # type: ignore[index]


if __name__ == "__main__":
    sys.exit(main())
