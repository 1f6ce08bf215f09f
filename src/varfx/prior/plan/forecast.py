"""`forecast`: what a fit will need, from a configuration to the plan: `varfx plan` as a function."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from varfx.device import find_device
from varfx.errors import ConfigError
from varfx.ld import LDPanel, open_panel
from varfx.prior.ancestries.inputs import by_ancestry
from varfx.prior.plan.cards import NOT_MEASURED, Card, card_of
from varfx.prior.plan.config import PlanConfig
from varfx.prior.plan.elsewhere import Elsewhere, cards_beside, on_card
from varfx.prior.plan.job import Job, Schedule, panel_job, track_sizes, uniform_job
from varfx.prior.plan.plan import Machine, Plan, Rates, plan
from varfx.prior.plan.rates import measure_rates, rates_on, this_machine
from varfx.prior.plan.transfer import Transfer, transfer_of
from varfx.progress import Progress, silent
from varfx.tracks.store import TrackStore, open_tracks

MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecast:
    """A plan, and what it was worked out from.

    Attributes:
        job: the sizes.
        rates: those of the plan.
        machine: where.
        plan: its needs.
        elsewhere: the same on cards that were measured.
        not_measured: cards of which no rate is known.
        transfers: LD over the network.
    """

    job: Job
    rates: Rates
    machine: Machine
    plan: Plan
    elsewhere: tuple[Elsewhere, ...] = ()
    not_measured: tuple[str, ...] = NOT_MEASURED
    transfers: tuple[Transfer, ...] = ()

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
            "elsewhere": [each.to_dict() for each in self.elsewhere],
            "not_measured": list(self.not_measured),
            "transfers": [each.to_dict() for each in self.transfers],
        }


def forecast(config: PlanConfig, *, progress: Progress = silent) -> Forecast:
    """Disk, memory and time of a fit and of the commands after it, at rates measured on this machine.

    Args:
        config: the sizes of the fit, and where it would compute.
        progress: told about each measurement.

    Raises:
        ConfigError: sizes that contradict each other, or a device that is not there, or a card of unknown rates.
        DownloadError: an address of `source` cannot be listed.
        StoreError: panel or tracks are missing or damaged.
    """
    config.check_sizes()
    card = None if config.card is None else card_of(config.card)
    device = find_device(config.device if card is None else "cpu")
    store = None if config.tracks is None else open_tracks(config.tracks)
    panels = _panels(config)
    job = _job(config, panels, store)
    bandwidth = None if config.bandwidth is None else MEGABYTE * config.bandwidth
    transfers = tuple(transfer_of(address, bandwidth) for address in config.source)
    machine = this_machine(device, config.folder, card=card)
    first = next(iter(panels.values()), None)
    rates = measure_rates(
        job, device=device, card=card, panel=first, tracks=store, folder=config.folder, progress=progress
    )
    beside = tuple(_beside(each, card, job, rates, machine) for each in cards_beside(machine))
    return Forecast(
        job=job, rates=rates, machine=machine, plan=plan(job, rates, machine), elsewhere=beside, transfers=transfers
    )


def _beside(card: Card, planned: Card | None, job: Job, rates: Rates, machine: Machine) -> Elsewhere:
    """The job on a card, for which it may be planned anyway."""
    return on_card(card, job, rates if card == planned else rates_on(card, job, rates), machine)


def _panels(config: PlanConfig) -> dict[str, LDPanel]:
    """The LD panel under an empty name, or those of several ancestries."""
    named = by_ancestry(config.panel, option="panel")
    if named is not None:
        return {name: open_panel(named[name]) for name in sorted(named)}
    if len(config.panel) > 1:
        raise ConfigError(
            f"`--panel` is given {len(config.panel)} times without names. Give one, or NAME=PANEL for each ancestry."
        )
    return {"": open_panel(config.panel[0])} if config.panel else {}


def _job(config: PlanConfig, panels: dict[str, LDPanel], store: TrackStore | None) -> Job:
    """The sizes, from files or from numbers."""
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
        "loci": config.loci,
    }
    if model.kind == "enformer":
        tracks = config.num_tracks or 0
        sizes |= {"num_tracks": tracks, "bytes_per_base": tracks} if store is None else track_sizes(store)
    if panels:
        return panel_job(panels.get("", panels), **sizes)
    assert config.variants is not None
    assert config.windows is not None
    return uniform_job(config.variants, config.windows, core=config.core, flank=config.flank, rank=config.rank, **sizes)
