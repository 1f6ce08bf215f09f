"""The two demonstrations on real, small data: download, fit, evaluate, draw.

Start with `prior` and `expression`; `download` fetches the data, `study` simulates expression upon real genotypes.
Imports every room but `cli`. Names load when first used.
"""

from typing import TYPE_CHECKING

from varfx._lazy import export

if TYPE_CHECKING:
    from varfx.demos.download import DemoData, fetch_demo_data
    from varfx.demos.study import DemoStudy, simulate_study

__all__ = [
    "DemoData",
    "DemoStudy",
    "fetch_demo_data",
    "simulate_study",
]

export(
    __name__,
    {
        "download": "DemoData fetch_demo_data",
        "study": "DemoStudy simulate_study",
    },
)
