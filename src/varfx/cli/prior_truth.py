"""Output of `varfx prior evaluate --truth`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from varfx.cli.console import console


def print_truth(traits: Sequence[dict[str, Any]], plot: Path | None) -> None:
    """Prints the comparison with the truth of an evaluation, and draws it if asked to."""
    for trait in traits:
        found = trait["truth"]
        summary = Table(
            "trait", "variants", "RMSE of log f", "95 % interval", "correlation", "95 % interval", "mean chi2"
        )
        summary.add_row(
            trait["name"],
            f"{found['n_variants']:,}",
            f"{found['rmse_log_f']:.3f}",
            _bounds(found["rmse_log_f_ci95"]),
            "-" if found["corr_log_f"] is None else f"{found['corr_log_f']:.3f}",
            _bounds(found["corr_log_f_ci95"]),
            f"{found['mean_chi2']:.3f}",
        )
        console.print(summary)
        groups = Table("tenth by predicted f", "mean f", "mean true f", "observed / expected", "95 % interval")
        for entry in found["calibration"]:
            true = entry["mean_true_f"]
            groups.add_row(
                str(entry["group"]),
                f"{entry['mean_f']:.3g}",
                "-" if true is None else f"{true:.3g}",
                f"{entry['ratio']:.3f}",
                _bounds(entry["ratio_ci95"]),
            )
        console.print(groups)
    if plot is not None:
        from varfx.report.style import save
        from varfx.report.truth import calibration

        save(calibration(traits[0]["truth"]), plot)
        console.print(f"{plot}: written", soft_wrap=True)


def _bounds(bounds: Sequence[float] | None) -> str:
    return "-" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
