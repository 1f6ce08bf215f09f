"""Pictures of variants' effects show the numbers of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from varfx.errors import DataError
from varfx.report.variants import effects_against_elastic_net, effects_along_window


def scores(**changes: Any) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "gene_id": "ENSG1",
        "model": "enformer",
        "tss_distance": [-3000, -10, 200, 4000],
        "weight": [0.1, -0.5, 0.3, None],
        "elastic_net": [0.0, -0.4, -0.2, 0.1],
        "high_scoring": [False, True, True, False],
        "driver_variformer": [False, True, False, None],
        "driver_sasse": [False, True, True, None],
        **changes,
    }
    return pl.DataFrame(columns, schema_overrides={"elastic_net": pl.Float64})


def sticks(axes: Any) -> list[list[tuple[float, float]]]:
    """Ends of the sticks, by their colour."""
    return [[tuple(segment[1]) for segment in each.get_segments()] for each in axes.collections]


@pytest.mark.parametrize(("rule", "drivers"), [("variformer", [[-0.01, -0.5]]), ("sasse", [[-0.01, -0.5], [0.2, 0.3]])])
def test_sticks_along_the_window_and_drivers(rule: str, drivers: list[list[float]]) -> None:
    above, below = effects_along_window(scores(), title="GENE1", rule=rule).axes
    other, marked = sticks(above)
    np.testing.assert_allclose(other, [(-3.0, 0.1)])
    np.testing.assert_allclose(marked, [(-0.01, -0.5), (0.2, 0.3)])
    (dots,) = (line for line in above.lines if line.get_label() == "driver")
    np.testing.assert_allclose(dots.get_xydata(), drivers)
    other, marked = sticks(below)
    np.testing.assert_allclose(other, [(-3.0, 0.0)])
    np.testing.assert_allclose(marked, [(-0.01, -0.4), (0.2, -0.2)])
    assert above.get_ylabel().startswith("enformer")
    assert below.get_ylabel().startswith("elastic-net")


def test_without_an_elastic_net_beside_there_is_one_panel() -> None:
    for table in (scores(elastic_net=None), scores(model="elastic-net")):
        assert len(effects_along_window(table, title="GENE1").axes) == 1
        with pytest.raises(
            DataError, match=r"has no elastic net beside another model\. Score variants with --baseline"
        ):
            effects_against_elastic_net(table)


def test_points_against_the_elastic_net_by_sign() -> None:
    (axes,) = effects_against_elastic_net(scores()).axes
    same, other = (np.asarray(each.get_offsets()).tolist() for each in axes.collections)
    assert (same, other) == ([[-0.4, -0.5]], [[-0.2, 0.3]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["same sign: 1", "other sign: 1"]


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(DataError, match="no variant with a score"):
        effects_along_window(scores(weight=[None] * 4).cast({"weight": pl.Float64}), title="GENE1")
    with pytest.raises(DataError, match="`table` holds 2 genes"):
        effects_along_window(scores(gene_id=["a", "b", "b", "b"]), title="GENE1")
    with pytest.raises(DataError, match="gives no variant a weight"):
        effects_against_elastic_net(scores(elastic_net=0.0))
