"""A prior whose annotations are read from their file a window at a time is the one whose annotations lie in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from cases.simulated_panel import Simulated
from varfx.annotations import channels, file, read_annotations
from varfx.annotations.file import FileChannels
from varfx.io import sealed_rows
from varfx.models import ModelConfig
from varfx.prior import SplitConfig, fit, predict
from varfx.prior.files import PriorInputs
from varfx.prior.run import WEIGHTS, open_run
from varfx.prior.run_data import data_of_run
from varfx.training import TrainConfig


@pytest.fixture
def annot(simulated: Simulated, tmp_path: Path) -> Path:
    """The annotations in row groups of 100, which windows of 120 variants straddle."""
    whole = read_annotations(simulated.annot)
    groups = [whole.table.slice(first, 100) for first in range(0, whole.height, 100)]
    sealed_rows.write_rows(groups, tmp_path / "A.annot.parquet", kind="annotations", metadata=whole.metadata)
    return tmp_path / "A.annot.parquet"


def test_fit_and_predictions_are_the_same_bit_for_bit(
    simulated: Simulated, annot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, tables = [], []
    monkeypatch.setattr(channels, "BLOCK", 150)
    for name, most in (("held", 1 << 29), ("read", 0)):
        monkeypatch.setattr(file, "HELD_BYTES", most)
        out = tmp_path / name
        fit(
            simulated.panel,
            [simulated.height],
            out,
            annotations=annot,
            model=ModelConfig(kind="linear"),
            training=TrainConfig(max_steps=6, check_every=3),
            split=SplitConfig(holdout_chrom=("3",)),
        )
        runs.append(out)
        tables.append(predict(out))
    one, other = (safetensors.numpy.load_file(run / WEIGHTS) for run in runs)
    assert one.keys() == other.keys()
    for key, values in one.items():
        np.testing.assert_array_equal(other[key], values)
    both = [open_run(run).standardiser for run in runs]
    assert both[0] is not None
    assert both[1] is not None
    assert both[0].to_dict() == both[1].to_dict()
    assert tables[0].equals(tables[1])
    run, files = open_run(runs[1]), PriorInputs().or_those_of(open_run(runs[1]))
    read = data_of_run(run, files, simulated.open(), tracks=PriorInputs())
    monkeypatch.setattr(file, "HELD_BYTES", 1 << 29)
    held = data_of_run(run, files, simulated.open(), tracks=PriorInputs())
    assert isinstance(read._features.channels, FileChannels)  # type: ignore[attr-defined]
    for index in (0, 5, 11):
        features = read.plain(index).features
        assert isinstance(features, torch.Tensor)
        assert features.dtype == torch.float64
        torch.testing.assert_close(features, held.plain(index).features, rtol=0, atol=0)
