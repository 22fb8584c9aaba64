"""The metrics, one file each, written with the ops; and `score`, which shares their common work.

A metric's module defines ``METRIC``; every module of this folder that does is found by its file.
`register`, or an entry point of the group "transfer_kernels.metrics", adds those of others.
"""

from __future__ import annotations

import math
import pkgutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from ..inputs.model_outputs import INPUTS, MissingInputWarning, ModelOutputs, as_outputs
from ..text.quoting import plain, several, shown
from .problem import Problem
from .registry import ALL, Metric, MetricCall, OfArrays, Registry, RelativeToZoo, parse_spec
from .scatter_problem import problem_of
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


def stands_for_all(metrics: Any) -> bool:
    """Whether metrics are ``"all"``, alone or as the only one of a list."""
    if not isinstance(metrics, str) and isinstance(metrics, Sequence) and len(metrics) == 1:
        metrics = metrics[0]
    return isinstance(metrics, str) and metrics == ALL


def all_calls(task: str | None) -> tuple[tuple[MetricCall, ...], list[str]]:
    """Every metric that has a meaning for a task, and the names of the others.

    Those of `DEFAULT_METRICS` come first. Without labels, None, no metric that takes some has one.
    """
    calls, others = [], []
    for name in sorted(METRICS, key=lambda name: (name not in DEFAULT_METRICS, name)):
        metric = METRICS[name]
        if task in metric.tasks or not metric.tasks:
            is_option = task == "regression" and "regression" in metric.options
            calls.append(MetricCall(metric, {"regression": True} if is_option else {}))
        else:
            others.append(name)
    order = {name: place for place, name in enumerate(DEFAULT_METRICS)}
    calls.sort(key=lambda call: order.get(call.metric.name, len(order)))
    return tuple(calls), others


def left_out_text(reasons: Mapping[str, Iterable[str]]) -> str:
    """Say what ``metrics="all"`` leaves out, from reason to specs."""
    parts = [f"{', '.join(specs)} ({reason})" for reason, specs in reasons.items() if specs]
    return f'metrics="all" leaves out {"; ".join(parts)}'


def no_meaning(task: str | None) -> str:
    """Why a metric is left out for a task."""
    return "labels needed" if task is None else f"not for {task}"


def canonical_spec(spec: Spec) -> str:
    """The spelling of a spec under which its scores are filed; raises like `metric_call`."""
    return metric_call(spec).spec


def family_of(spec: str) -> str:
    """The family of the metric that a spec names; that of features where none is registered."""
    try:
        return metric_call(spec).metric.family
    except (TypeError, ValueError):
        return "features"


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
    features : (n, d) array or tensor, ModelOutputs or FisherScatter
        Features of the target's samples, or all that the model gives for them; or the sums of the
        features, for metrics that they determine.
    labels : (n,) array, tensor or list, optional
        Class labels of any hashable kind. Metrics that take no labels do without, and so do those
        of a `transfer_kernels.ops.FisherScatter`, which has its classes in it.
    metrics : str, Metric, callable, or iterable of them
        Specs: a name, or a name with options as in ``"parc(n_components=32)"``; or functions
        ``f(features, labels) -> float`` of your own, filed under their names. ``"all"`` stands for
        every metric that is defined for what is given, with its default options.
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
        If metrics need inputs that were not given; their scores are NaN. With ``"all"`` those are
        left out, and so are metrics without a meaning for the labels and those that refuse what is
        given; one warning tells which.

    Raises
    ------
    TypeError, ValueError
        If a spec is unknown or malformed or an option of the wrong type, before any work starts;
        else as the metrics raise.
    """
    if stands_for_all(metrics):
        return _score_by_all(problem_of(features, labels, backend, ignore_label, **target_inputs))
    calls = metric_calls(metrics)
    outputs = as_outputs(features).only(frozenset().union(*(c.metric.needs for c in calls)))
    problem = problem_of(outputs, labels, backend, ignore_label, **target_inputs)
    scores: dict[str, float] = {}
    lacks: dict[str, list[str]] = {}
    for call in calls:
        if lacking := call.lacking(problem):
            scores |= dict.fromkeys(call.columns, math.nan)
            for name in lacking:
                lacks.setdefault(name, []).append(call.spec)
        else:
            scores |= call.values(problem)
    if lacks:
        warnings.warn(lacking_text(lacks), MissingInputWarning, stacklevel=2)
    return scores


def _score_by_all(problem: Problem) -> dict[str, float]:
    calls, others = all_calls(problem.task)
    scores: dict[str, float] = {}
    reasons: dict[str, list[str]] = {no_meaning(problem.task): others}
    for call in calls:
        if lacking := call.lacking(problem):
            reasons.setdefault(f"no {', '.join(lacking)}", []).append(call.spec)
            continue
        for name in call.metric.needs & problem.inputs.given:
            getattr(problem.inputs, name)  # what is wrong with an input is no matter of the metric
        try:
            scores |= call.values(problem)
        except (ValueError, ImportError) as error:  # it is not defined here, or lacks a package
            reasons.setdefault(plain(str(error), 200), []).append(call.spec)
    if any(reasons.values()):
        warnings.warn(left_out_text(reasons), MissingInputWarning, stacklevel=3)
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
    return call.column(found)
