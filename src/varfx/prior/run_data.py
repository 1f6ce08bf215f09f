"""The data that a fitted run is applied to, in float64."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from varfx.ld import LDPanel
from varfx.prior.files import PriorInputs
from varfx.prior.inputs import assemble
from varfx.prior.run import Run
from varfx.training.gwas.windows import WindowData


def data_of_run(run: Run, files: PriorInputs, panel: LDPanel, *, tracks: PriorInputs) -> WindowData:
    """Associations and features on the panel's rows, as the run's network reads them.

    Args:
        run: the fitted prior.
        files: summary statistics and annotations.
        panel: the LD panel.
        tracks: names another track store than the run's, or none.

    Raises:
        VarfxError: inputs that cannot be read or do not fit the run.
    """
    return assemble(
        panel,
        files.read_sumstats(),
        files.read_annotations(),
        kind=run.model.config.kind,
        standardiser=run.standardiser,
        dtype=torch.float64,
        tracks=tracks.tracks_of_run(run),
        matching=files.matching,
    )


def sample_size_ratio(run: Run, data: WindowData) -> Float[Tensor, " trait"]:
    """N of each trait's associations over N at the fit: the model gives F = N f for its own traits' N."""
    fitted = [trait["n_ref"] for trait in run.record["traits"]]
    return torch.tensor([trait.n_ref / n for trait, n in zip(data.traits, fitted, strict=True)], dtype=torch.float64)
