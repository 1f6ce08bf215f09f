"""`forecast`: what a fit will need, from a configuration to the plan: `varfx plan` as a function."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from varfx.device import find_device
from varfx.ld import open_panel
from varfx.prior.plan.cards import card_of
from varfx.prior.plan.config import PlanConfig
from varfx.prior.plan.job import Job, Schedule, panel_job, track_sizes, uniform_job
from varfx.prior.plan.plan import Machine, Plan, Rates, plan
from varfx.prior.plan.rates import measure_rates, this_machine
from varfx.progress import Progress, silent
from varfx.tracks.store import open_tracks


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """A plan, and what it was worked out from."""

    job: Job
    rates: Rates
    machine: Machine
    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """All numbers, JSON-able."""
        measured = {key: value for key, value in vars(self.rates).items() if key not in ("likelihood", "products")}
        without = {key: None if value == float("inf") else value for key, value in measured.items()}
        return {
            "model": asdict(self.job.model),
            "machine": asdict(self.machine),
            "rates": {
                **without,
                "likelihood": self.rates.likelihood.to_json(),
                "products": asdict(self.rates.products),
            },
            **self.plan.to_dict(),
        }


def forecast(config: PlanConfig, *, progress: Progress = silent) -> Forecast:
    """Disk, memory and time of a fit, at rates measured on this machine.

    Args:
        config: the sizes of the fit, and where it would compute.
        progress: told about each measurement.

    Raises:
        ConfigError: sizes that contradict each other, or a device that is not there, or a card of unknown rates.
        StoreError: panel or tracks are missing or damaged.
    """
    config.check_sizes()
    card = None if config.card is None else card_of(config.card)
    device = find_device(config.device if card is None else "cpu")
    store = None if config.tracks is None else open_tracks(config.tracks)
    model = config.network(with_tracks=store is not None or bool(config.num_tracks))
    schedule = Schedule(
        max_steps=config.max_steps,
        windows_per_step=config.devices * config.num_nodes
        if config.windows_per_step is None
        else config.windows_per_step,
        check_every=config.check_every,
        validation_share=config.validation_fraction,
        devices=config.devices,
        num_nodes=config.num_nodes,
        holdout_share=config.holdout_fraction,
    )
    sizes: dict[str, Any] = {
        "model": model,
        "num_features": 0 if model.kind == "constant" else config.num_features,
        "num_traits": config.traits,
        "schedule": schedule,
    }
    if model.kind == "enformer":
        tracks = config.num_tracks or 0
        sizes |= {"num_tracks": tracks, "bytes_per_base": tracks} if store is None else track_sizes(store)
    panel = None if config.panel is None else open_panel(config.panel)
    if panel is not None:
        job = panel_job(panel, **sizes)
    else:
        assert config.variants is not None
        assert config.windows is not None
        job = uniform_job(
            config.variants, config.windows, core=config.core, flank=config.flank, rank=config.rank, **sizes
        )
    machine = this_machine(device, config.folder, card=card)
    rates = measure_rates(
        job, device=device, card=card, panel=panel, tracks=store, folder=config.folder, progress=progress
    )
    return Forecast(job=job, rates=rates, machine=machine, plan=plan(job, rates, machine))
