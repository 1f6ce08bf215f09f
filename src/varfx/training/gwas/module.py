"""The training loop's view of a prior, as Lightning wants it: loss, optimiser, batches, validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from varfx.ld.whiten import WhitenedWindow
from varfx.likelihood import Engine, evaluate
from varfx.likelihood.cost_model import CostModel, calibrated
from varfx.models import VariancePrior
from varfx.models.channel_norm import fold_statistics
from varfx.models.config import Kind
from varfx.training import ranks
from varfx.training.gwas.config import TrainConfig
from varfx.training.gwas.order import Batches, probe_generator, window_order
from varfx.training.gwas.score import Likelihood, total_score
from varfx.training.gwas.windows import PriorWindow, WindowData, in_background

WATCH = "watch"  # the callback's part of a checkpoint
COSTS = "costs"  # the engines' predicted times, likewise: a resumed fit must choose as it did before
LEARNING_RATES: dict[Kind, float] = {"constant": 2e-3, "linear": 2e-3, "mlp": 1e-3, "enformer": 1e-4}  # the networks'


class PriorModule(lightning.LightningModule):
    """The training loop's view of a prior: loss, optimiser, and the order of the windows."""

    def __init__(
        self,
        model: VariancePrior,
        data: WindowData,
        train: Sequence[int],
        validation: Sequence[int],
        config: TrainConfig,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self.first_step = 0 if checkpoint is None else int(checkpoint["callbacks"][WATCH]["step"])
        self.model = model
        self.config = config
        self.data = data
        self.train_windows = list(train)
        self.validation_windows = list(validation)
        self.costs: CostModel | None = None
        if checkpoint is not None and checkpoint["callbacks"][WATCH][COSTS]:
            self.costs = CostModel.from_json(checkpoint["callbacks"][WATCH][COSTS])
        terms = data.panel.windows["rank" if config.objective == "likelihood" else "num_core"].to_numpy()
        self.mean_terms = float(np.mean(terms[self.train_windows])) * sum(trait.replicates for trait in data.traits)
        # Score and associations of the training windows since the last check, of this process.
        self.seen: tuple[float, int] = (0.0, 0)

    def training_step(self, batch: PriorWindow, batch_idx: int) -> Tensor:
        """Minus the score of a window, per association of an average window."""
        place = self.first_step * self.config.step_windows + batch_idx * ranks.world() + ranks.rank()
        likelihood = self._likelihood(self.config.engine, probe_generator(self.config.seed, place))
        score, count = total_score(self.model, batch, self.config.objective, likelihood)
        self.seen = (self.seen[0] + float(score.detach()), self.seen[1] + count)
        return -score / self.mean_terms

    def on_fit_start(self) -> None:
        """Learns how long the engines take here, if that matters and no checkpoint knows; all processes go by the first's."""
        if self.config.objective == "likelihood" and self.config.engine == "auto" and self.costs is None:
            self.costs = ranks.of_first(calibrated(self.config.dtype, self.device) if ranks.rank() == 0 else None)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """After a step's last backward pass: what its windows showed enters the network's running statistics."""
        fold_statistics(self.model.network, ranks.all_reduce if ranks.world() > 1 else None)

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
        return Batches(self.data, order[ranks.rank() :: ranks.world()])

    def transfer_batch_to_device(self, batch: PriorWindow, device: torch.device, dataloader_idx: int) -> PriorWindow:
        """Moves a window."""
        return batch if device.type == "cpu" else batch.to(device)

    @torch.no_grad()
    def validate(self) -> tuple[float, int]:
        """The score of the validation windows (log p in nats), and the number of associations that it counts.

        Each process scores its share; the sums are the same in all of them.
        """
        self.model.eval()
        total, counts = 0.0, 0
        for window in in_background(self.data, self.validation_windows[ranks.rank() :: ranks.world()]):
            here = window if self.device.type == "cpu" else window.to(self.device)
            score, count = total_score(self.model, here, self.config.objective, self._likelihood("exact"))
            total, counts = total + float(score), counts + count
        self.model.train()
        parts = ranks.gathered([total, counts], self.device)
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
        weights = list(self.model.network.parameters())
        if weights:
            groups.append({"params": weights, "lr": rate, "weight_decay": self.config.weight_decay})
        optimizer = torch.optim.AdamW(groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.config.learning_rate_factor)
        if self._checkpoint is not None:
            optimizer.load_state_dict(self._checkpoint["optimizer_states"][0])
            schedule.load_state_dict(self._checkpoint["lr_schedulers"][0])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
