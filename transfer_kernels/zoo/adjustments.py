"""What is made of a whole table of scores: columns that no model has by itself.

An adjustment is a function of a table, column to model to score, that gives columns to add to it.
Which columns it adds depends on the names of those that are there alone, not on the models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..evaluation.measures import mean_ranks
from ..metrics import MetricCall
from ..metrics.zoo_scale import unit_range
from ..text.quoting import several
from ..text.tables import MISSING, format_scores
from .scoring import Outcome, failure

Column = Mapping[str, float]
Table = Mapping[str, Column]
Adjustment = Callable[[Table], Mapping[str, Column]]

CONSENSUS = "consensus"
WITH_LAYERS = " + layers"
MIN_MAX = " (min-max)"


def consensus(table: Table) -> dict[str, dict[str, float]]:
    """Minus the mean rank over the columns, as ``"consensus"`` where there are several.

    NaN for a model that has no score in one of them.
    """
    if len(table) < 2:
        return {}
    return {CONSENSUS: _minus_mean_rank(table)}


def _minus_mean_rank(table: Table) -> dict[str, float]:
    total = dict.fromkeys(next(iter(table.values())), 0.0)
    for column in table.values():
        finite = [name for name, score in column.items() if math.isfinite(score)]
        ranks = mean_ranks(-np.asarray([column[name] for name in finite], dtype=np.float64))
        place = dict(zip(finite, ranks.tolist(), strict=True))
        total = {name: value + place.get(name, math.nan) for name, value in total.items()}
    return {name: -value / len(table) for name, value in total.items()}


def says_little(table: Table) -> dict[str, str]:
    """Column to the reason why it should not enter a consensus, of the columns with one.

    Its finite scores are all equal, so that it orders nothing; or a model lacks a score in it that
    has one in at least half of the columns, so that its ranks are no ranks of all models.
    """
    lacking: dict[str, int] = {}
    for column in table.values():
        for name, score in column.items():
            lacking[name] = lacking.get(name, 0) + (not math.isfinite(score))
    counted = [name for name, count in lacking.items() if 2 * count <= len(table)]
    reasons = {}
    for metric, column in table.items():
        without = [name for name in counted if not math.isfinite(column[name])]
        if not _finite(column).size:
            reasons[metric] = "no score"
        elif without:
            reasons[metric] = f"no score of {several(without, 3, quoted=False)}"
        elif len(counted) > 1 and len({column[name] for name in counted}) == 1:
            reasons[metric] = "the same for all models"
    return reasons


def informed_consensus(table: Table) -> dict[str, dict[str, float]]:
    """The consensus over the columns that say something, see `says_little`.

    NaN for a model that has no score in one of these, and for all models where there are none.
    """
    if len(table) < 2:
        return {}
    left_out = says_little(table)
    kept = {metric: column for metric, column in table.items() if metric not in left_out}
    if kept:
        return {CONSENSUS: _minus_mean_rank(kept)}
    return {CONSENSUS: dict.fromkeys(next(iter(table.values())), math.nan)}


def with_layers(table: Table, layers: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Every column standardised over the zoo plus layers / 50, as ``"<metric> + layers"``.

    The heuristic of PARC's authors for zoos of mixed depth (Bolya et al. 2021).
    """
    return {f"{name}{WITH_LAYERS}": _with_layers(scores, layers) for name, scores in table.items()}


def _with_layers(scores: Column, layers: Mapping[str, float]) -> dict[str, float]:
    finite = _finite(scores)
    mean = finite.mean() if finite.size else math.nan
    spread = (finite.std() if finite.size else math.nan) or 1.0  # equal scores: all become 0
    return {
        name: (score - mean) / spread + layers[name] / 50.0 if math.isfinite(score) else math.nan
        for name, score in scores.items()
    }


def min_max(table: Table) -> dict[str, dict[str, float]]:
    """Every column shifted and scaled to [0, 1] over the zoo, as ``"<metric> (min-max)"``.

    Equal scores all become 0.
    """
    return {f"{name}{MIN_MAX}": _min_max(scores) for name, scores in table.items()}


def _min_max(scores: Column) -> dict[str, float]:
    known = [name for name, score in scores.items() if math.isfinite(score)]
    scaled = unit_range(_finite(scores)).tolist()
    return {**dict.fromkeys(scores, math.nan), **dict(zip(known, scaled, strict=True))}


def _finite(scores: Column) -> np.ndarray:
    values = np.asarray(list(scores.values()), dtype=np.float64)
    return values[np.isfinite(values)]


def usual(
    layers: Mapping[str, float] | None,
    others: Sequence[Adjustment] = (),
    agreement: Adjustment = consensus,
) -> tuple[Adjustment, ...]:
    """The adjustments of a ranking: layers if their numbers are known, others, the consensus."""
    first = () if layers is None else (partial(with_layers, layers=layers),)
    return (*first, *others, agreement)


def added_columns(table: Table, adjustments: Sequence[Adjustment]) -> dict[str, dict[str, float]]:
    """All columns that adjustments give of the same table."""
    return {name: dict(column) for adjust in adjustments for name, column in adjust(table).items()}


def added_names(metrics: Sequence[str], adjustments: Sequence[Adjustment]) -> tuple[str, ...]:
    """Their names, before there is any score."""
    return tuple(added_columns({metric: {} for metric in metrics}, adjustments))


def printed(column: str, values: Sequence[float]) -> tuple[str, list[str]]:
    """Title and cells of a column in a table that is read: of the consensus the mean ranks."""
    if column != CONSENSUS:
        return column, format_scores(values)
    return "mean #", [f"{-value:.1f}" if value < 0 else MISSING for value in values]


def combined(call: MetricCall, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes with the scores of a metric that compares models, from the parts of each.

    Models that failed or lack an input have NaN and do not enter; where the parts do not combine,
    all have failed.
    """
    nothing = dict.fromkeys(call.metric.parts, math.nan)
    try:
        column = call.combined({outcome.model: outcome.parts or nothing for outcome in outcomes})
    except Exception as error:
        why = failure("", call.spec, error).error
        return [replace(outcome, error=outcome.error or why) for outcome in outcomes]
    return [replace(outcome, score=column[outcome.model]) for outcome in outcomes]
