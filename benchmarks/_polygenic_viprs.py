"""The authors' VIPRS (PyPI `viprs`) on one simulated trait; run by the Python of an environment of its own.

    PYTHON benchmarks/_polygenic_viprs.py FOLDER

FOLDER holds a PLINK file `N.bed` per stretch of LD, as chromosome N, and `sumstats.tsv`. LD is the sample correlation of each
stretch. `effects.tsv` is written: per variant the posterior mean of its effect on standardised genotypes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import magenpy
import viprs


def main(folder: Path) -> None:
    if not (folder / "ld").exists():
        genotypes = magenpy.GWADataLoader(bed_files=str(folder / "*.bed"), temp_dir=str(folder / "temp"))
        genotypes.compute_ld("sample", str(folder / "ld"), dtype="float32")
    data = magenpy.GWADataLoader(
        ld_store_files=str(folder / "ld" / "*"),
        sumstats_files=str(folder / "sumstats.tsv"),
        sumstats_format="magenpy",
        temp_dir=str(folder / "temp"),
    )
    model = viprs.VIPRS(data)
    model.fit()
    model.to_table().to_csv(folder / "effects.tsv", sep="\t", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
