"""Disk, memory and time of a fit before it starts, from rates measured on this machine.

Start with `plan` (arithmetic on sizes and rates), then `job` (sizes) and `rates` (how they are measured). Names load when first used.
Imports the rooms of the fit: panel, tracks, models, likelihood.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.prior.plan.job import Job
    from varfx.prior.plan.plan import Machine, Plan, Rates, plan
    from varfx.prior.plan.rates import measure_rates, this_machine

__all__ = [
    "Job",
    "Machine",
    "Plan",
    "Rates",
    "measure_rates",
    "plan",
    "this_machine",
]

export(
    __name__,
    {
        "job": "Job",
        "plan": "Machine Plan Rates plan",
        "rates": "measure_rates this_machine",
    },
)
