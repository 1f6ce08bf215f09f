"""The options of a fit as a YAML file that `varfx prior fit --config FILE` takes again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

OPTIONS = "options.yaml"
WORDS = {
    ("enformer", "precision"): "network_precision",
    ("split", "seed"): "split_seed",
}  # others are the fields' names
PYTHON_ONLY = {("enformer", "zero_output")}


def option_file(record: Mapping[str, Any]) -> str:
    """The text of the file, from a run's record: every option but `out` that has a value, under its word.

    Switches that are off are left out, since they have no word of their own.
    """
    tracks = record["tracks"] or {}
    paths = _paths(record)
    options = (
        paths | {"tracks": tracks.get("path"), "chain": tracks.get("chain")} | record["config"].get("matching", {})
    )
    model = dict(record["config"]["model"])
    groups = {
        "model": model,
        "enformer": model.pop("enformer"),
        **{g: record["config"][g] for g in ("training", "split")},
    }
    for group, fields in groups.items():
        for name, value in fields.items():
            if (group, name) not in PYTHON_ONLY:
                options[WORDS.get((group, name), name)] = list(value) if isinstance(value, tuple) else value
    kept = {name: value for name, value in options.items() if value is not None and value is not False and value != []}
    return "# varfx prior fit --config options.yaml --out RUN\n" + yaml.safe_dump(kept, sort_keys=False)


def _paths(record: Mapping[str, Any]) -> dict[str, Any]:
    """Panel, summary statistics and annotations as options, with the names of ancestries."""
    members = record.get("ancestries")
    if members is None:
        return {name: record[name] for name in ("panel", "sumstats", "annotations")}
    return {
        "panel": [f"{name}={each['panel']}" for name, each in members.items()],
        "sumstats": [f"{name}={path}" for name, each in members.items() for path in each["sumstats"]],
        "annotations": [
            f"{name}={each['annotations']}" for name, each in members.items() if each["annotations"] is not None
        ],
    }
