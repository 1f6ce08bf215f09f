"""The training loop's view of a prior, as Lightning wants it: loss, optimiser, batches, validation."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varfx.errors import DataError, VarfxError
from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import Engine, evaluate
from varfx.likelihood.cost_model import CostModel, calibrated
from varfx.models import VariancePrior
from varfx.models.channel_norm import fold_statistics
from varfx.models.config import Kind
from varfx.training import processes
from varfx.training.dropout import Dropout
from varfx.training.gwas.config import TrainConfig
from varfx.training.gwas.mixture import total_bound
from varfx.training.gwas.order import Batches, probe_generator, window_order
from varfx.training.gwas.placement import Placement
from varfx.training.gwas.score import DIVERGED, Likelihood, total_score
from varfx.training.gwas.windows import PriorWindow, Windows, in_background
from varfx.training.loop import FitModule

COSTS = "costs"  # the engines' predicted times, in a checkpoint: a resumed fit must choose as it did before
SEEN = "seen"  # likewise, each process's score and associations since the last check
LEARNING_RATES: dict[Kind, float] = {"constant": 2e-3, "linear": 2e-3, "mlp": 1e-3, "enformer": 1e-4}  # the networks'


def sample_of(windows: Sequence[int], most: int) -> list[int]:
    """At most so many windows, evenly spaced; all where there are no more."""
    places = np.linspace(0, len(windows) - 1, min(most, len(windows))).round().astype(int)
    return [windows[place] for place in places]


class PriorModule(FitModule):
    """The training loop's view of a prior: loss, optimiser, order of the windows, validation."""

    checks_start = True

    def __init__(
        self,
        model: VariancePrior,
        data: Windows,
        train: Sequence[int],
        validation: Sequence[int],
        config: TrainConfig,
        *,
        mixture: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.mixture = mixture  # the score is the bound of the mixture, not the objective
        self.config = config
        self.data = data
        self.train_windows = list(train)
        self.validation_windows = sample_of(validation, config.check_windows)
        self.total_steps = config.max_steps
        self.batches_per_step = config.step_windows // config.processes
        self.min_improvement = config.min_improvement
        self.costs: CostModel | None = None
        self._place: Placement | None = None
        column = "rank" if config.objective == "likelihood" else "num_core"
        self.mean_terms = data.mean_terms(self.train_windows, column)
        # Score and associations of the training windows since the last check, of this process.
        self.seen: tuple[float, int] = (0.0, 0)

    def training_step(self, batch: PriorWindow, batch_idx: int) -> Tensor:
        """Minus the score of a window, per association of an average window."""
        place = self.first_step * self.config.step_windows + batch_idx * processes.world() + processes.rank()
        likelihood = self._likelihood(self.config.engine, probe_generator(self.config.seed, place))
        dropout = Dropout(self.config.seed, self.device)
        try:
            with dropout.part(place) if self.model.config.enformer.dropout else contextlib.nullcontext():
                score, count = self._score(batch, likelihood)
        except VarfxError as error:
            if processes.world() == 1:
                raise
            self.error = error  # the others wait in the exchange of gradients: take part, and raise it after the step
            return torch.stack([parameter.sum() for parameter in self.model.parameters()]).sum() * 0.0
        self.seen = (self.seen[0] + float(score.detach()), self.seen[1] + count)
        return self._touched(-score / self.mean_terms)

    def _score(self, window: PriorWindow, likelihood: Likelihood) -> tuple[Tensor, int]:
        """Training score of a window, and its number of associations."""
        if self.mixture:
            return total_bound(self.model, window, self.config.dtype)
        return total_score(self.model, window, self.config.objective, likelihood)

    def _touched(self, loss: Tensor) -> Tensor:
        """The loss as a function of all weights: several processes exchange the gradients of all."""
        if self.model.mixture is None or processes.world() == 1:
            return loss
        return loss + 0.0 * torch.stack([parameter.sum() for parameter in self.model.parameters()]).sum()

    def on_fit_start(self) -> None:
        """Learns how long the engines take here, if that matters and no checkpoint knows; all processes go by the first's."""
        if self.config.objective == "likelihood" and self.config.engine == "auto" and self.costs is None:
            self.costs = processes.of_first(
                calibrated(self.config.dtype, self.device) if processes.rank() == 0 else None
            )
        if self.config.compile:
            network: Any = self.model.network
            network.score = torch.compile(network.score)

    def teardown(self, stage: str) -> None:
        """Takes the compiled network away."""
        self.model.network.__dict__.pop("score", None)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """After a step's last backward pass: what its windows showed enters the network's running statistics."""
        fold_statistics(self.model.network, processes.all_reduce if processes.world() > 1 else None)

    def check_due(self, step: int, last: int) -> bool:
        """Every `check_every` steps, but at most once per pass over the training windows."""
        pass_steps = -(-len(self.train_windows) // self.config.step_windows)
        return step % self.config.check_every == 0 and step - last >= pass_steps

    def save_due(self, step: int, seconds: float) -> bool:
        """Every `check_every` steps."""
        return step % self.config.check_every == 0

    def check(self, step: int) -> tuple[int, float, float, float]:
        """Step, score per association on training and validation windows, and the total on the validation windows."""
        parts = processes.gathered(self.seen, self.device)
        nats, count = sum(part[0] for part in parts), sum(part[1] for part in parts)
        self.seen = (0.0, 0)
        value, associations = self.validate()
        if not math.isfinite(value):
            raise DataError(DIVERGED)
        return step, nats / count if count else math.nan, value / max(associations, 1), value

    def kept(self) -> dict[str, Tensor]:
        """All weights of the prior."""
        return self.model.state_dict()

    def notes(self) -> dict[str, Any]:
        """Engine costs, and what was seen since the last check."""
        costs = {} if self.costs is None else self.costs.to_json()
        return {COSTS: costs, SEEN: processes.gathered(self.seen, self.device)}

    def resume(self, checkpoint: dict[str, Any], notes: dict[str, Any], step: int) -> None:
        """Goes on from a checkpoint."""
        super().resume(checkpoint, notes, step)
        if notes[COSTS]:
            self.costs = CostModel.from_json(notes[COSTS])
        score, count = notes[SEEN][processes.rank()]
        self.seen = (score, int(count))

    def _likelihood(self, engine: Engine, probes: torch.Generator | None = None) -> Likelihood:
        """Log p by an engine, with the configured error and precision."""
        config = self.config

        def log_p(window: WhitenedWindow, F: Tensor, sigma2: Tensor) -> Tensor:
            return evaluate(
                window,
                F,
                sigma2,
                engine=engine,
                gradient_error=config.gradient_error,
                generator=probes,
                dtype=config.dtype,
                costs=self.costs,
            ).log_p

        return log_p

    def train_dataloader(self) -> Batches:
        """This process's share of the windows of all steps that are left: what Lightning takes for one epoch."""
        size = self.config.step_windows
        first, end = self.first_step * size, self.config.max_steps * size
        order = window_order(self.train_windows, self.config.seed, first, end - first)
        return Batches(self.data, order[processes.rank() :: processes.world()], self.place)

    @property
    def place(self) -> Placement:
        """Device of this process, to which windows are moved."""
        if self._place is None or self._place.device != self.device:
            self._place = Placement(self.device)
        return self._place

    def transfer_batch_to_device(self, batch: PriorWindow, device: torch.device, dataloader_idx: int) -> PriorWindow:
        """Nothing to move: windows come from `place`."""
        return batch

    @torch.no_grad()
    def validate(self) -> tuple[float, int]:
        """The score of the validation windows (log p in nats), and the number of associations that it counts.

        Each process scores its share; the sums are the same in all of them.
        """
        self.model.eval()
        total, counts = 0.0, 0
        with processes.in_step():
            mine = self.validation_windows[processes.rank() :: processes.world()]
            for window in in_background(self.data, mine, place=self.place):
                score, count = self._score(window, self._likelihood("exact"))
                total, counts = total + float(score), counts + count
        self.model.train()
        parts = processes.gathered([total, counts], self.device)
        return sum(part[0] for part in parts), int(sum(part[1] for part in parts))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with linear warm-up, as at the checkpoint where there is one; network, scale, and the other scalars apart."""
        kind = self.model.config.kind
        rate = self.config.learning_rate or LEARNING_RATES[kind]
        scale_rate = self.config.learning_rate_scalars if kind == "enformer" else rate
        groups: list[dict[str, Any]] = [
            {"params": [self.model.scale], "lr": scale_rate, "weight_decay": 0.0},
            {
                "params": [self.model.alpha, self.model.log_sigma2],
                "lr": self.config.learning_rate_scalars,
                "weight_decay": 0.0,
            },
        ]
        if self.model.mixture is not None:
            groups.append({"params": list(self.model.mixture.parameters()), "lr": scale_rate, "weight_decay": 0.0})
        weights = list(self.model.network.parameters())
        if weights:
            groups.append({"params": weights, "lr": rate, "weight_decay": self.config.weight_decay})
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.config.learning_rate_factor)
        if self.checkpoint is not None:
            optimizer.load_state_dict(self.checkpoint["optimizer_states"][0])
            schedule.load_state_dict(self.checkpoint["lr_schedulers"][0])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
