"""Disk, memory and time of a fit before it starts, from rates measured on this machine.

Start with `forecast` (the command) and `plan` (arithmetic on sizes and rates), then `job` (sizes) and `rates` (how they are measured). `commands`
and `sampling` count the work of what follows a fit, `elsewhere` has it on cards that were measured. Names load when first used.
Imports the rooms of the fit: panel, tracks, models, likelihood.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.plan.config import PlanConfig
    from varfx.prior.plan.forecast import Forecast, forecast
    from varfx.prior.plan.job import Job, Schedule
    from varfx.prior.plan.plan import Machine, Plan, Rates, plan
    from varfx.prior.plan.rates import measure_rates, this_machine

__all__ = [
    "Forecast",
    "Job",
    "Machine",
    "Plan",
    "PlanConfig",
    "Rates",
    "Schedule",
    "forecast",
    "measure_rates",
    "plan",
    "this_machine",
]

export(
    __name__,
    {
        "config": "PlanConfig",
        "forecast": "Forecast forecast",
        "job": "Job Schedule",
        "plan": "Machine Plan Rates plan",
        "rates": "measure_rates this_machine",
    },
)
