"""The metrics, one file each, written with the ops; and `score`, which shares their common work.

A metric's module defines ``METRIC``; every module of this folder that does is found by its file.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from ..quoting import shown
from .problem import Problem
from .registry import Metric, format_spec, parse_spec
from .uninformative import UninformativeScoreWarning

__all__ = [
    "METRICS",
    "Metric",
    "Problem",
    "UninformativeScoreWarning",
    "canonical_spec",
    "compute",
    "metric_names",
    "score",
]

DEFAULT_METRICS = ("sfda", "logme", "parc")


def _discover() -> Mapping[str, Metric]:
    found = {}
    for module in pkgutil.iter_modules(__path__):
        metric = getattr(import_module(f"{__name__}.{module.name}"), "METRIC", None)
        if metric is not None:
            found[metric.name] = metric
    return MappingProxyType(found)


METRICS = _discover()


def metric_names() -> tuple[str, ...]:
    """Names of all metrics, sorted."""
    return tuple(sorted(METRICS))


def resolve_spec(spec: str) -> tuple[Metric, dict[str, Any]]:
    """The metric and its options that a spec such as ``"parc(n_components=32)"`` names.

    Raises
    ------
    ValueError
        If the spec is malformed, or the metric or one of its options is unknown.
    """
    name, options = parse_spec(spec)
    if name not in METRICS:
        raise ValueError(f"metric {shown(name)} is unknown; there are {', '.join(metric_names())}")
    metric = METRICS[name]
    for option in options:
        if option not in metric.options:
            known = ", ".join(metric.options) or "none"
            raise ValueError(
                f"metric {shown(name)} has no option {shown(option)}; its options: {known}"
            )
    return metric, options


def canonical_spec(spec: str) -> str:
    """The spelling of a spec under which its scores are filed; raises like `resolve_spec`."""
    metric, options = resolve_spec(spec)
    return format_spec(metric.name, options)


def compute(problem: Problem, spec: str) -> float:
    """One metric's score of a problem."""
    metric, options = resolve_spec(spec)
    return metric.compute(problem, **options)


def score(
    features: Any,
    labels: Any,
    metrics: str | Iterable[str] = DEFAULT_METRICS,
    *,
    ignore_label: Any = None,
    backend: str | None = None,
) -> dict[str, float]:
    """Several metrics of one model, their common work done once.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features of the target's samples.
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    metrics : str or iterable of str
        Specs: a name, or a name with options as in ``"parc(n_components=32)"``.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    backend : str, optional
        Force a backend.

    Returns
    -------
    dict
        Canonical spec -> score, higher is better, in the order given.

    Raises
    ------
    TypeError, ValueError
        If a spec is unknown, before any work starts; else as the metrics raise.
    """
    specs = [metrics] if isinstance(metrics, str) else list(metrics)
    specs = [canonical_spec(spec) for spec in specs]
    problem = Problem(features, labels, backend, ignore_label)
    return {spec: compute(problem, spec) for spec in specs}
