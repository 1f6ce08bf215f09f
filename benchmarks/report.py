"""Size of a report, time to make it, and time until Chromium has opened it and drawn its charts.

    python benchmarks/report.py demo-output/mlp --finemap demo-output/F --h2 demo-output/H --qc demo-output/Q --out benchmarks/output/report.json

The page is opened with an empty profile, in a window of 1,280 x 900 pixels. The numbers that docs/report.md quotes are kept in
benchmarks/results/report.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from _measure import machine, run_measured

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from cases.browser import ABSENT, CHROMIUM, chromium

REPEATS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="of `varfx prior fit`")
    for name in ("finemap", "h2", "qc", "gtf"):
        parser.add_argument(f"--{name}", type=Path, help=f"as in `varfx report --{name}`")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("finemap", "h2", "qc", "gtf")}
    options = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    varfx = [sys.executable, "-c", "from varfx.cli import main; main()", "report", str(arguments.run), *options]
    with tempfile.TemporaryDirectory() as folder:
        page, static = Path(folder) / "report.html", Path(folder) / "static.html"
        seconds, peak = run_measured([*varfx, "--out", str(page)])
        static_seconds, _ = run_measured([*varfx, "--static", "--out", str(static)])
        result = {
            "benchmark": "report",
            "options": sorted(name for name, value in given.items() if value is not None),
            "page": {"bytes": page.stat().st_size, "seconds": round(seconds, 2), "peak_bytes": peak},
            "static": {"bytes": static.stat().st_size, "seconds": round(static_seconds, 2)},
            "browser": None if CHROMIUM is None else opened(page, Path(folder)),
            "machine": machine(),
        }
    text = json.dumps(result, indent=2)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n")
    print(text)
    if CHROMIUM is None:
        print(ABSENT, file=sys.stderr)
    return 0


def opened(page: Path, folder: Path) -> dict[str, object]:
    """Seconds until the page is loaded, until its first chart and all of them are drawn; the median of some openings."""
    found = []
    for number in range(REPEATS):
        with chromium(folder / f"profile{number}") as browser:
            started = time.perf_counter()
            browser.open(page, width=1280)
            drawn = time.perf_counter() - started
            load = browser.value("performance.getEntriesByType('navigation')[0].loadEventEnd")
            charts = browser.value("document.querySelectorAll('.chart[data-drawn=yes]').length")
            found.append(
                {"load_seconds": round(load / 1000, 3), "all_drawn_seconds": round(drawn, 2), "charts": charts}
            )
    found.sort(key=lambda each: each["all_drawn_seconds"])
    return {**found[len(found) // 2], "requests": len(browser.requests)}


if __name__ == "__main__":
    sys.exit(main())
