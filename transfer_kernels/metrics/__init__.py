"""The metrics, one file each, written with the ops; and `score`, which shares their common work.

A metric's module defines ``METRIC``; every module of this folder that does is found by its file.
`register`, or an entry point of the group "transfer_kernels.metrics", adds those of others.
"""

from __future__ import annotations

import math
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from ..inputs.model_outputs import INPUTS, MissingInputWarning, ModelOutputs, as_outputs
from ..text.quoting import several, shown
from .problem import Problem
from .registry import Metric, MetricCall, OfArrays, Registry, RelativeToZoo, parse_spec
from .uninformative import UninformativeScoreWarning

__all__ = [
    "METRICS",
    "Metric",
    "MetricCall",
    "MissingInputWarning",
    "ModelOutputs",
    "Problem",
    "RelativeToZoo",
    "UninformativeScoreWarning",
    "canonical_spec",
    "metric_call",
    "metric_names",
    "register",
    "score",
]

DEFAULT_METRICS = ("sfda", "logme", "parc")

#: How a metric may be named: its spec, the metric itself, or a function of features and labels.
Spec = str | Metric | MetricCall | Callable[[Any, Any], float]


def _own_metrics() -> Iterator[Metric]:
    for module in pkgutil.iter_modules(__path__):
        metric = getattr(import_module(f"{__name__}.{module.name}"), "METRIC", None)
        if metric is not None:
            yield metric


METRICS = Registry(_own_metrics())


def register(metric: Metric) -> Metric:
    """Add a metric of your own, so that `score`, `rank` and the specs know it by its name.

    An installed package does so without being imported first, by an entry point of the group
    ``"transfer_kernels.metrics"`` that names a `Metric`. A function of features and labels needs
    neither: `score` and `rank` take it as it is.

    Parameters
    ----------
    metric : Metric

    Returns
    -------
    Metric
        The same.

    Raises
    ------
    TypeError
        If it is no `Metric`.
    ValueError
        If the name is taken by another metric.
    """
    return METRICS.register(metric)


def metric_names() -> tuple[str, ...]:
    """Names of all metrics, sorted."""
    return tuple(METRICS)


def metric_call(spec: Spec) -> MetricCall:
    """The metric and its options that a spec names, checked.

    Parameters
    ----------
    spec : str, Metric or callable
        Such as ``"parc(n_components=32)"``; or a function of features and labels that gives a
        number, higher for the better model, called by its own name.

    Raises
    ------
    TypeError
        If an option has a value of the wrong type.
    ValueError
        If the spec is malformed, or the metric or one of its options is unknown.
    """
    if isinstance(spec, MetricCall):
        return spec
    if isinstance(spec, Metric):
        return MetricCall(spec)
    if callable(spec):
        return MetricCall(_plain_metric(spec))
    name, options = parse_spec(spec)
    if name not in METRICS:
        raise ValueError(f"metric {shown(name)} is unknown; there are {', '.join(METRICS)}")
    METRICS[name].check(**options)
    return MetricCall(METRICS[name], options)


def _plain_metric(function: Callable[[Any, Any], float]) -> Metric:
    name = getattr(function, "__name__", type(function).__name__)
    if not name.isidentifier() or name in METRICS:
        taken = "is the name of a metric" if name in METRICS else "is no name for a column"
        raise ValueError(
            f"metrics: the function {name!r} {taken}; give it another, or wrap it in a Metric"
        )
    return Metric(name, OfArrays(function))


def metric_calls(metrics: Spec | Iterable[Spec]) -> tuple[MetricCall, ...]:
    """One call for each metric, in the order given, each once.

    Raises
    ------
    TypeError, ValueError
        See `metric_call`; also if there is none, or two functions have one name.
    """
    alone = isinstance(metrics, str) or callable(metrics)
    calls: dict[str, MetricCall] = {}
    for call in map(metric_call, [metrics] if alone else metrics):  # type: ignore[arg-type]
        if calls.setdefault(call.spec, call).metric != call.metric:
            raise ValueError(f"metrics: two functions have the name {call.spec!r}; rename one")
    if not calls:
        raise ValueError("metrics: none given; name at least one")
    return tuple(calls.values())


def canonical_spec(spec: Spec) -> str:
    """The spelling of a spec under which its scores are filed; raises like `metric_call`."""
    return metric_call(spec).spec


def score(
    features: Any,
    labels: Any = None,
    metrics: Spec | Iterable[Spec] = DEFAULT_METRICS,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
    **target_inputs: Any,
) -> dict[str, float]:
    """Several metrics of one model, their common work done once.

    Parameters
    ----------
    features : (n, d) array or tensor, or ModelOutputs
        Features of the target's samples, or all that the model gives for them.
    labels : (n,) array, tensor or list, optional
        Class labels of any hashable kind. Metrics that take no labels do without.
    metrics : str, Metric, callable, or iterable of them
        Specs: a name, or a name with options as in ``"parc(n_components=32)"``; or functions
        ``f(features, labels) -> float`` of your own, filed under their names.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend.
    **target_inputs : object
        What the target gives besides its labels: ``label_embeddings``, ``reference``; see
        `transfer_kernels.inputs.model_outputs.TargetInputs`.

    Returns
    -------
    dict
        Canonical spec -> score, higher is better, in the order given. A metric that compares models
        has no score of one; its parts are there as ``"spec.part"``.

    Warns
    -----
    MissingInputWarning
        If metrics need inputs that were not given; their scores are NaN.

    Raises
    ------
    TypeError, ValueError
        If a spec is unknown or malformed or an option of the wrong type, before any work starts;
        else as the metrics raise.
    """
    calls = metric_calls(metrics)
    outputs = as_outputs(features).only(frozenset().union(*(c.metric.needs for c in calls)))
    problem = Problem(outputs, labels, backend, ignore_label, **target_inputs)
    scores: dict[str, float] = {}
    lacks: dict[str, list[str]] = {}
    for call in calls:
        if lacking := problem.inputs.lacking(call.metric.needs):
            scores |= dict.fromkeys(call.columns, math.nan)
            for name in lacking:
                lacks.setdefault(name, []).append(call.spec)
        else:
            scores |= call.values(problem)
    if lacks:
        warnings.warn(lacking_text(lacks), MissingInputWarning, stacklevel=2)
    return scores


def lacking_text(
    lacks: Mapping[str, Iterable[str]], models: Mapping[str, Iterable[str]] | None = None
) -> str:
    """Say which metrics have no score for want of which input; of which models, if it is told."""
    parts = []
    for name, specs in lacks.items():
        metrics = several(dict.fromkeys(specs), quoted=False)
        whose = ""
        if models and INPUTS[name].owner == "model":
            whose = f" of {several(dict.fromkeys(models[name]), 20, quoted=False)}"
        parts.append(f"{metrics}: no score{whose} without {name}; {INPUTS[name].remedy}")
    return ". ".join(parts)


def score_models(
    models: Iterable[tuple[str, Any, Any]], call: MetricCall, *, backend: str | None = None
) -> dict[str, float]:
    """Model to score by one metric, of (model, features, labels); also where it compares them."""
    found = {
        model: score(features, labels, call, backend=backend) for model, features, labels in models
    }
    if not call.metric.parts:
        return {model: values[call.spec] for model, values in found.items()}
    return call.combined(
        {
            model: {part: values[call.column_of(part)] for part in call.metric.parts}
            for model, values in found.items()
        }
    )
