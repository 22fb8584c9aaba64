"""Tasks as Model Spider sees them: class means; and training tasks sampled from past ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...files.feature_files import FeatureFile
from ...files.score_files import array_digest
from ...inputs import arrays
from ...inputs.model_outputs import features_of
from ...kernels.array_namespace import on_host
from ...metrics import DEFAULT_METRICS, MetricCall, metric_call, score
from ...text.quoting import shown
from ...text.terminal import progress_bar
from ..history import Task, TransferHistory
from ..rank_fusion import reciprocal_rank_fusion

Tokens = NDArray[np.float32]
Class = tuple[str, Any]  # a task and a label there


@dataclass(frozen=True)
class TaskSample:
    """One task to learn from.

    Attributes
    ----------
    general : (C, d) float32 array
        The task's tokens: mean feature of every class, by a general encoder that all tasks share.
    performance : mapping of str to float
        Of some models on the task, in any unit, higher is better; only its order counts.
    own : callable, optional
        ``own(model)`` returns the model's own tokens (C, d_model): mean feature of every class.
    tasks : tuple of str
        The past tasks that it is made of.
    """

    general: Tokens
    performance: Mapping[str, float]
    own: Callable[[str], Tokens] | None = field(default=None, repr=False)
    tasks: tuple[str, ...] = ()


def class_means(features: Any, labels: Any, name: str = "features") -> Tokens:
    """Mean feature of every class, in the order of the sorted labels.

    Parameters
    ----------
    features : (n, d) array or tensor
    labels : (n,) array, tensor or list
        Class labels of any hashable kind.
    name : str
        What the features are called where they are wrong.

    Returns
    -------
    means : (C, d) float32 array

    Raises
    ------
    ValueError, TypeError
        As the metrics raise.
    """
    X = on_host(arrays.as_features(features, name))
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        arrays.refuse_nonfinite((row, column), X, name)
    _, codes = arrays.encode_classes(arrays.as_labels(labels, len(X)))
    return _means(X, np.argsort(codes, kind="stable"), np.bincount(codes))


def _means(X: NDArray, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> Tokens:
    """Means of consecutive runs of the chosen rows."""
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(np.asarray(X[rows], dtype=np.float64), starts, axis=0)
    return (sums / counts[:, None]).astype(np.float32)


def sample_tasks(
    history: TransferHistory,
    *,
    performance: str | None = None,
    n_pools: int = 32,
    draws: int = 16,
    sources: tuple[int, int] = (2, 4),
    classes: tuple[int, int] = (10, 100),
    shots: int = 50,
    metrics: Sequence[str] = DEFAULT_METRICS,
    seed: int = 0,
    backend: str | None = None,
    progress: bool | None = None,
) -> list[TaskSample]:
    """Make training tasks of past ones.

    What is published of the pools are class lists and ranks, not how they were drawn nor by which
    metrics: the draws and the metrics here are ours.

    Parameters
    ----------
    history : TransferHistory
        With proxy features, which come with labels: those of the general encoder.
    performance : {"history", "fused"}, optional
        By default ``"history"`` where the history holds a performance, else ``"fused"``.
        ``"fused"``, as published: pools are made of classes of several past tasks mixed, and the
        performance on a pool is approximated, without any fine-tuning, by the reciprocal rank
        fusion of metrics of all models' features; the history's own performance is not looked at.
        ``"history"``: the past tasks themselves, all classes of each, with the performance that the
        history holds.
    n_pools : int, default 32
        Pools, for ``"fused"``.
    draws : int, default 16
        Samples of each pool or past task: other images of the same classes.
    sources : (int, int), default (2, 4)
        Least and most past tasks that a pool mixes; never more than there are.
    classes : (int, int), default (10, 100)
        Least and most classes of a pool; never more than its past tasks have. A past task with more
        than the most gives each of its samples as many, drawn at random.
    shots : int, default 50
        Images of each class in a sample, fewer where there are no more.
    metrics : sequence of str, default ("sfda", "logme", "parc")
        What is fused. A metric that fails on a model ranks it nowhere.
    seed : int, default 0
    backend : str, optional
        Force a backend for the metrics.
    progress : bool, optional
        Show a progress bar on stderr; the default is to show it on a terminal only.

    Raises
    ------
    ValueError
        If an option is out of range, or the history has no labelled proxy features, no features
        where they are needed, or no task on which two models differ.
    """
    if performance is None:
        performance = "history" if history.known.any() else "fused"
    if performance not in ("fused", "history"):
        raise ValueError(f"performance: {shown(performance)} given; it is 'fused' or 'history'")
    for name, value in {"n_pools": n_pools, "draws": draws, "shots": shots}.items():
        arrays.require_positive_integer(value, name)
    for name, (least, most), floor in (("sources", sources, 1), ("classes", classes, 2)):
        if not floor <= least <= most:
            raise ValueError(
                f"{name}: ({least}, {most}) given; the least is from {floor} to the most"
            )
    images = _Images(history, shots)
    if performance == "history":
        pools = _past_tasks(history, images, draws, classes[1], seed)
    else:
        calls = [metric_call(spec) for spec in metrics]
        for call in calls:
            if more := sorted(call.metric.needs - {"features"}):
                raise ValueError(
                    f"metrics: {call.spec} needs {more[0]}, but pools are made of features alone"
                )
        pools = _mixed_pools(
            history, images, n_pools, draws, sources, classes, calls, seed, backend, progress
        )
    samples = [sample for sample in pools if len(set(sample.performance.values())) > 1]
    if not samples:
        raise ValueError("history: there is no task on which the performance of two models differs")
    return samples


def _past_tasks(
    history: TransferHistory, images: _Images, draws: int, most: int, seed: int
) -> Iterator[TaskSample]:
    for number, task in enumerate(history.tasks):
        for draw in range(draws):
            generator = np.random.default_rng([seed, number, draw])
            chosen = _some(images.classes(task), most, generator)
            yield _Draw(images, chosen, [seed, number, draw]).sample(history.column(task))


def _mixed_pools(
    history: TransferHistory,
    images: _Images,
    n_pools: int,
    draws: int,
    sources: tuple[int, int],
    classes: tuple[int, int],
    calls: Sequence[MetricCall],
    seed: int,
    backend: str | None,
    progress: bool | None,
) -> Iterator[TaskSample]:
    with progress_bar(n_pools, progress, unit="pool") as bar:
        for pool in range(n_pools):
            generator = np.random.default_rng([seed, pool])
            most = min(sources[1], len(history.tasks))
            n_sources = generator.integers(min(sources[0], most), most + 1)
            chosen = generator.choice(len(history.tasks), n_sources, replace=False)
            candidates = [one for t in sorted(chosen) for one in images.classes(history.tasks[t])]
            most = min(classes[1], len(candidates))
            n_classes = generator.integers(min(classes[0], most), most + 1)
            mixed = _some(candidates, int(n_classes), generator)
            drawn = [_Draw(images, mixed, [seed, pool, draw]) for draw in range(draws)]
            fused = _fused(history.models, drawn[0], calls, backend)
            for draw in drawn:
                yield draw.sample(fused)
            bar.update()


def _fused(
    models: Sequence[str], draw: _Draw, calls: Sequence[MetricCall], backend: str | None
) -> dict[str, float]:
    """Approximate performance of every model, in (0, 1]."""
    found: list[dict[str, dict[str, float]]] = [{} for _ in calls]
    for model in models:
        features, labels = draw.features(model)
        for values, call in zip(found, calls, strict=True):
            try:
                values[model] = score(features, labels, call, backend=backend)
            except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                values[model] = dict.fromkeys(call.columns, np.nan)
    columns = [call.column(values) for call, values in zip(calls, found, strict=True)]
    table = np.array([[column[model] for model in models] for column in columns])
    return dict(zip(models, reciprocal_rank_fusion(table).tolist(), strict=True))


def _some(classes: Sequence[Class], most: int, generator: np.random.Generator) -> list[Class]:
    if len(classes) <= most:
        return list(classes)
    return [classes[i] for i in np.sort(generator.permutation(len(classes))[:most])]


class _Seen(NamedTuple):
    """What the proxy or a model sees of a past task: features, and the rows of every class."""

    features: NDArray
    rows: dict[Any, NDArray[np.int64]]
    layout: str  # the same where the same rows are of the same classes


class _Images:
    """What the proxy and the models see of the past tasks' images, each read once."""

    def __init__(self, history: TransferHistory, shots: int) -> None:
        self.history = history
        self.shots = shots
        self._seen: dict[tuple[str | None, str], _Seen] = {}

    def classes(self, task: str) -> list[Class]:
        return [(task, label) for label in self.seen(None, task).rows]

    def seen(self, model: str | None, task: str) -> _Seen:
        """What a model, or with None the proxy, sees of a task."""
        if (model, task) not in self._seen:
            self._seen[model, task] = self._read(model, task)
        return self._seen[model, task]

    def _read(self, model: str | None, task: str) -> _Seen:
        found = self.history.proxy(task) if model is None else self.history.features(model, task)
        whose = "proxy features" if model is None else f"features of model {shown(model)}"
        X, labels = labelled(found, f"{whose} of task {shown(task)}")
        names, codes = arrays.encode_classes(labels)
        rows = {name: np.flatnonzero(codes == c) for c, name in enumerate(names.tolist())}
        return _Seen(X, rows, array_digest(labels))


class _Draw:
    """Some images of some classes, as the proxy and every model see them.

    Which images these are depends on the seed and the order of a task's rows alone: models whose
    features are of the same images in the same order see the same ones.
    """

    def __init__(self, images: _Images, classes: Sequence[Class], seed: Sequence[int]) -> None:
        self._images = images
        self._labels = {
            task: [label for _, label in group]
            for task, group in groupby(classes, key=lambda one: one[0])
        }
        self._seed = seed
        self._rows: dict[tuple[str, str], tuple[NDArray, NDArray]] = {}

    def sample(self, performance: Mapping[str, float]) -> TaskSample:
        own = self.tokens if self._images.history.has_features else None
        return TaskSample(self.tokens(None), performance, own, tuple(self._labels))

    def tokens(self, model: str | None) -> Tokens:
        """Mean feature of every class."""
        return np.concatenate([_means(*part) for part in self._parts(model)])

    def features(self, model: str) -> tuple[NDArray, NDArray[np.int64]]:
        """Features of all images, and codes of their classes."""
        parts = list(self._parts(model))
        counts = np.concatenate([counts for _, _, counts in parts])
        return np.concatenate([X[rows] for X, rows, _ in parts]), np.repeat(
            np.arange(len(counts)), counts
        )

    def _parts(self, model: str | None) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
        """Of every past task its features, the rows drawn, class after class, and their counts."""
        for task in self._labels:
            seen = self._images.seen(model, task)
            if (task, seen.layout) not in self._rows:
                self._rows[task, seen.layout] = self._drawn(model, task, seen)
            yield seen.features, *self._rows[task, seen.layout]

    def _drawn(self, model: str | None, task: str, seen: _Seen) -> tuple[NDArray, NDArray]:
        history, drawn = self._images.history, []
        generator = np.random.default_rng([*self._seed, 1 + history.tasks.index(task)])
        for label in self._labels[task]:
            if label not in seen.rows:
                raise ValueError(
                    f"task {shown(task)}: model {shown(model)} has no features of class "
                    f"{shown(label)}, which the proxy features have"
                )
            drawn.append(generator.permutation(seen.rows[label])[: self._images.shots])
        return np.concatenate(drawn), np.array([len(rows) for rows in drawn])


def labelled(found: FeatureFile, name: str) -> tuple[NDArray, NDArray]:
    """Features on the host, finite, and their labels.

    Raises
    ------
    ValueError
        If there are no labels, or the features are wrong.
    """
    if found.labels is None:
        raise ValueError(f"{name} come without labels, but means of every class are needed")
    X = on_host(arrays.as_features(features_of(found.features), name))
    if not np.isfinite(X).all():
        row, column = np.argwhere(~np.isfinite(X))[0]
        arrays.refuse_nonfinite((row, column), X, name)
    return X, arrays.as_labels(found.labels, len(X))


def new_task(task: Task) -> TaskSample:
    """The tokens of a new task, of all its images."""
    name = f"proxy features of task {shown(task.name)}"
    general = class_means(*labelled(task.proxy(), name), name)
    return TaskSample(general, {}, partial(_own_tokens, task), (task.name,))


def _own_tokens(task: Task, model: str) -> Tokens:
    name = f"features of model {shown(model)} of task {shown(task.name)}"
    return class_means(*labelled(task.features(model), name), name)
