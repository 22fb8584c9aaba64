"""Columns that are made of a whole table of scores."""

import math

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.zoo.adjustments import (
    added_names,
    consensus,
    informed_consensus,
    min_max,
    printed,
    says_little,
    usual,
    with_layers,
)

TABLE = {"m": {"a": 1.0, "b": 2.0, "c": 4.0}, "w": {"a": 3.0, "b": math.nan, "c": 3.0}}
LAYERS = {"a": 50, "b": 0, "c": 100}


def test_layers_are_added_to_what_is_standardised():
    found = with_layers(TABLE, LAYERS)
    values = np.array([1.0, 2.0, 4.0])
    expected = (values - values.mean()) / values.std() + np.array([1.0, 0.0, 2.0])
    assert list(found["m + layers"].values()) == pytest.approx(expected)
    assert found["w + layers"] == {"a": 1.0, "b": pytest.approx(math.nan, nan_ok=True), "c": 2.0}


def test_min_max_keeps_what_is_missing():
    found = min_max({**TABLE, "none": {"a": math.nan}})
    assert found["m (min-max)"] == {"a": 0.0, "b": pytest.approx(1 / 3), "c": 1.0}
    equal = found["w (min-max)"]
    assert equal["a"] == equal["c"] == 0.0 and math.isnan(equal["b"])
    assert math.isnan(found["none (min-max)"]["a"])


def test_consensus_is_of_several_columns():
    assert consensus({"m": TABLE["m"]}) == {}
    found = consensus(TABLE)["consensus"]
    assert found["a"] == -(3 + 1.5) / 2 and found["c"] == -(1 + 1.5) / 2
    assert math.isnan(found["b"])
    title, cells = printed("consensus", [-1.25, math.nan])
    assert title == "mean #" and cells[0] == "1.2" and cells[1] != "nan"


def test_informed_consensus_passes_over_what_says_little():
    table = {
        "m": [1.0, 2.0, 3.0, math.nan],
        "w": [3.0, 1.0, 2.0, math.nan],
        "constant": [7.0, 7.0, 7.0, math.nan],
        "partial": [1.0, math.nan, 2.0, 9.0],
        "none": [math.nan] * 4,
        "infinite": [math.inf, 1.0, 2.0, math.nan],
    }
    table = {name: dict(zip("abcd", values, strict=True)) for name, values in table.items()}
    # d has a score in one column of six, and so asks nothing of the others
    assert says_little(table) == {
        "constant": "the same for all models",
        "partial": "no score of b",
        "none": "no score",
        "infinite": "no score of a",
    }
    found = informed_consensus(table)["consensus"]
    assert found.pop("d") != found["a"] and found == {"a": -2.0, "b": -2.5, "c": -1.5}
    assert math.isnan(informed_consensus(table)["consensus"]["d"])
    assert informed_consensus({"m": table["m"]}) == {}
    kept = {"m": table["m"], "w": table["w"]}
    assert informed_consensus(kept)["consensus"] == pytest.approx(
        consensus(kept)["consensus"], nan_ok=True
    )
    nothing = {"a": table["constant"], "b": table["none"]}
    assert all(map(math.isnan, informed_consensus(nothing)["consensus"].values()))
    alone = {"m": {"a": 1.0}, "w": {"a": 2.0}}
    assert says_little(alone) == {} and informed_consensus(alone)["consensus"] == {"a": -1.0}


def test_names_are_known_before_there_are_scores():
    names = added_names(["m", "w"], usual(LAYERS, [min_max]))
    layered, scaled = ("m + layers", "w + layers"), ("m (min-max)", "w (min-max)")
    assert names == (*layered, *scaled, "consensus")


def shares(table):
    """An adjustment of a user's own."""
    return {
        f"share of {n}": {m: v / sum(c.values()) for m, v in c.items()} for n, c in table.items()
    }


def test_rank_takes_adjustments():
    X, y = make_problem(60, 8, 3)
    zoo = {"a": X, "b": X[:, :4], "c": X[:, 4:]}
    ranking = tk.rank(zoo, y, ["lfc", "hscore"], adjustments=[min_max, shares], order_by="lfc")
    assert ranking.columns[2:4] == ("lfc (min-max)", "hscore (min-max)")
    assert sum(ranking.column("share of lfc").values()) == pytest.approx(1.0)
    assert set(ranking.column("hscore (min-max)").values()) >= {0.0, 1.0}
    assert ranking.columns[-1] == "consensus"
    ordered = tk.rank(zoo, y, "lfc", adjustments=[min_max], order_by="lfc (min-max)")
    assert [row.name for row in ordered] == [row.name for row in ranking]
    with pytest.raises(ValueError, match=r"order_by: 'x' given; it is one of lfc, lfc \(min-max\)"):
        tk.rank(zoo, y, "lfc", adjustments=[min_max], order_by="x")
