"""What ``metrics="all"`` stands for in a zoo: every metric that is defined for what is given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from ..inputs.arrays import as_labels, kind_of_labels, labelled_as
from ..inputs.model_outputs import TARGET_INPUTS
from ..metrics import MetricCall, all_calls, left_out_text, no_meaning
from ..metrics.scatter_problem import is_scatter
from .scoring import Outcome, Source, Target


def calls_for(
    zoo: Mapping[str, Source], target: Target
) -> tuple[tuple[MetricCall, ...], dict[str, list[str]]]:
    """All metrics that the target allows, and reason to specs of those that it does not."""
    task: str | None = "classification"  # where each file has its own labels
    if target.labels is not None:
        labels = as_labels(target.labels, len(target.labels))
        if target.ignore_label is not None:
            labels = labels[~labelled_as(labels, target.ignore_label)]
        task = kind_of_labels(labels)
    elif not any(
        is_scatter(source) or isinstance(source, str | os.PathLike) for source in zoo.values()
    ):
        task = None
    found, others = all_calls(task)
    calls, left_out = [], {no_meaning(task): others}
    for call in found:
        needed = [name for name in TARGET_INPUTS if name in call.metric.needs]
        if lacking := [name for name in needed if name not in target.inputs]:
            left_out.setdefault(f"no {', '.join(lacking)}", []).append(call.spec)
        else:
            calls.append(call)
    left_out = {reason: specs for reason, specs in left_out.items() if specs}
    if not calls:
        raise ValueError(f"metrics: nothing is left; {left_out_text(left_out)}")
    return tuple(calls), left_out


def _may_have_labels(source: Source) -> bool:
    return is_scatter(source) or isinstance(source, str | os.PathLike)


def without_inputless(
    calls: Sequence[MetricCall],
    models: Iterable[str],
    outcomes: Mapping[tuple[str, str], Outcome],
) -> tuple[tuple[MetricCall, ...], dict[str, list[str]]]:
    """The metrics that some model has the inputs of, and reason to specs of the others."""
    kept: list[MetricCall] = []
    left_out: dict[str, list[str]] = {}
    for call in calls:
        column = [outcomes[model, call.spec] for model in models]
        if all(outcome.lacks for outcome in column):
            left_out.setdefault(f"no {', '.join(column[0].lacks)}", []).append(call.spec)
        else:
            kept.append(call)
    if not kept:
        raise ValueError(f"metrics: nothing is left; {left_out_text(left_out)}")
    return tuple(kept), left_out
