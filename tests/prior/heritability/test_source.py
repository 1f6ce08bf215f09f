"""Where variances come from: what is said of LD that does not fit the associations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cases.simulated_panel import N, Simulated, sumstats
from varfx.io import sealed
from varfx.prior.files import PriorInputs
from varfx.prior.heritability.source import fit_warnings, source_of_variances


def test_ld_that_does_not_fit_is_named(wide: Simulated, tmp_path: Path) -> None:
    """z of alternating signs, where correlations fade slowly; z that were simulated on the panel are not judged."""
    panel = wide.open()
    variants = panel.variants.select(
        CHR="chrom", SNP="variant_id", BP="position", A1="effect_allele", A2="other_allele"
    )
    variants.with_columns(SNPVAR=1e-5).write_csv(tmp_path / "f.tsv", separator="\t")
    found = sumstats(panel, 6.0 * (-1.0) ** np.arange(variants.height), np.full(variants.height, N), "disturbed")
    own = replace(found, metadata={"simulated": {"panel": sealed.sha256(panel.path / sealed.MANIFEST)}})
    said = []
    for each in (found, own):
        each.write(tmp_path / "S.sumstats.parquet")
        inputs = PriorInputs(panel=wide.panel, sumstats=(tmp_path / "S.sumstats.parquet",))
        notes = source_of_variances(tmp_path / "f.tsv", inputs=inputs).notes
        said.append([note for note in notes if note.startswith("disturbed: ")])
    assert any("the panel as a whole fits the associations badly" in note for note in said[0])
    assert said[1] == []


def test_warnings_of_the_fit_are_repeated_for_their_trait() -> None:
    record = {"warnings": ["height: the LD of 3 windows", "weight: the LD of 1 window", "`height`: sigma2 is 1.40"]}
    assert fit_warnings(record, "height") == ["the fit warned of height: the LD of 3 windows"]
    assert fit_warnings({}, "height") == []
