"""One model at a time through its metrics; scores are handed on as they finish."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..files.array_files import existing_file
from ..files.feature_files import OutputsFile, read_outputs
from ..files.machine_memory import available_memory
from ..files.mapped_reads import can_watch, intact
from ..files.zoo_folders import label_file_of
from ..inputs.arrays import as_array, as_labels, encode_classes
from ..inputs.model_outputs import as_outputs
from ..metrics import MetricCall, Problem, UninformativeScoreWarning
from ..metrics.scatter_problem import is_scatter, problem_of
from ..text.quoting import plain, shown

# The warnings of a score are recorded, which Python does for the whole process at a time.
_recording = threading.Lock()

_LONGEST_ERROR = 2000  # characters: other libraries' errors may be of any length

#: An array, a tensor, a ModelOutputs, a path of a feature file, or a callable that gives one.
Source = Any


@dataclass(frozen=True)
class Job:
    """A model, where its features come from, and the metrics that are still wanted of it."""

    model: str
    source: Source
    metrics: tuple[MetricCall, ...]

    @property
    def needs(self) -> frozenset[str]:
        """Names of the inputs that the metrics need."""
        return frozenset().union(*(call.metric.needs for call in self.metrics))


@dataclass(frozen=True)
class Target:
    """What all models of a zoo share: the labels (None: each file has its own), the backend.

    And the device to which the features are copied, None to score them where they are; the label
    whose samples are left out; what messages call the labels, such as the path of their file; and
    the inputs that belong to the target besides, by name.
    """

    labels: Any
    backend: str | None
    device: str | None = None
    ignore_label: Any = None
    labels_name: str = "those given for all models (a labels file, or labels=)"
    inputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """A score and its seconds; or why there is none (then both are NaN); or why it says little.

    Of a metric that compares models, the score is NaN and the parts are what it gives of this one.
    ``lacks`` are the inputs for want of which there is no score.
    """

    model: str
    metric: str
    score: float
    seconds: float
    error: str | None = None
    warning: str | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


def score_model(job: Job, target: Target) -> Generator[Outcome, None, None]:
    """Yield the outcomes of one model; what it loads is released at the end.

    The metrics share their work through one `Problem`, so the first one that needs the scatter of
    the features bears its time. Loading and checking the features count nowhere.
    """
    with ExitStack() as reading:
        try:
            held = _read(job)
            arrays = [part for value in held.outputs.given.values() for part in _parts(value)]
            checks = [reading.enter_context(intact(array, job.source)) for array in arrays]
            problem = _problem(held, job, target)
            _run(checks)
        except Exception as error:
            yield from (failure(job.model, call.spec, error) for call in job.metrics)
            return
        for call in job.metrics:
            if lacking := call.lacking(problem):
                nan = float("nan")
                yield Outcome(job.model, call.spec, nan, nan, lacks=tuple(lacking))
                continue
            try:
                outcome = _score(job.model, call, problem)
                _run(checks)
            except Exception as error:
                outcome = failure(job.model, call.spec, error)
            yield outcome


def _score(model: str, call: MetricCall, problem: Problem) -> Outcome:
    with _recording, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UninformativeScoreWarning)
        start = time.perf_counter()
        parts = call.parts(problem) if call.metric.parts else {}
        score = float("nan") if parts else call(problem)
        seconds = time.perf_counter() - start
    says_little = None
    for one in caught:
        if issubclass(one.category, UninformativeScoreWarning):
            says_little = str(one.message)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return Outcome(model, call.spec, score, seconds, warning=says_little, parts=parts)


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _run(checks: Sequence[Callable[[], None]]) -> None:
    for check in checks:
        check()


def _read(job: Job) -> OutputsFile:
    source = job.source
    if not isinstance(source, str | os.PathLike):
        return OutputsFile(as_outputs(source() if callable(source) else source))
    # A mapped file that shrinks ends the process unless it is watched.
    mapped = can_watch() or existing_file(Path(source)).stat().st_size > available_memory() / 2
    return read_outputs(os.fspath(source), needs=job.needs, mapped=mapped, narrow=True)


def _problem(held: OutputsFile, job: Job, target: Target) -> Problem:
    labels = target.labels if held.labels is None else held.labels
    if is_scatter(held.outputs):  # which has its classes in it
        problem = problem_of(
            held.outputs, None, target.backend, target.ignore_label, **target.inputs
        )
        _refuse_other_counts(problem, target)
        return problem
    if labels is None and any(call.metric.tasks for call in job.metrics):
        raise ValueError("labels: none were given, and none are stored beside the features")
    if held.labels is not None and target.labels is not None:
        _refuse_contradiction(job.source, held.labels, target)
    outputs = held.outputs.only(job.needs)
    if target.device is not None:
        outputs = outputs.moved_to(target.device)
    return problem_of(outputs, labels, target.backend, target.ignore_label, **target.inputs)


def _refuse_other_counts(problem: Problem, target: Target) -> None:
    """Raise unless a scatter has as many samples in its classes as the labels given have."""
    if target.labels is None:
        return
    _, codes = encode_classes(as_labels(target.labels, len(target.labels)))
    if not np.array_equal(np.sort(np.bincount(codes)), np.sort(problem.class_counts)):
        raise ValueError(
            f"labels: the classes of the FisherScatter have other numbers of samples than "
            f"{target.labels_name}; make it of the same samples"
        )


def _refuse_contradiction(source: Source, own: Any, target: Target) -> None:
    """Raise unless the file's labels and those given part the samples into the same classes."""
    remedy = "keep those that are right and remove the others"
    given = target.labels
    own = as_array(own, "labels") if not isinstance(own, (list, tuple)) else own
    own = as_labels(own, len(own))
    given = as_array(given, "labels") if not isinstance(given, (list, tuple)) else given
    given = as_labels(given, len(given))
    stored = "those stored beside the features"
    if isinstance(source, str | os.PathLike):
        stored = f"those stored in {plain(label_file_of(Path(source)) or source)}"
    if own.shape != given.shape:
        raise ValueError(
            f"labels: {stored} have shape {own.shape}, but {target.labels_name} have shape "
            f"{given.shape}; {remedy}"
        )
    if own.ndim == 2:
        same = np.asarray(own == given).all(axis=1)
        differ = None if same.all() else int(np.argmin(same))
    else:
        # Classes may be named otherwise, as "cat" and 0; then each name has one counterpart.
        there: dict[Any, Any] = {}
        back: dict[Any, Any] = {}
        differ = next(
            (
                i
                for i, (a, b) in enumerate(zip(_classes(own), _classes(given), strict=True))
                if there.setdefault(a, b) != b or back.setdefault(b, a) != a
            ),
            None,
        )
    if differ is not None:
        raise ValueError(
            f"labels: {stored} contradict {target.labels_name} first at sample {differ}: "
            f"{shown(own[differ])} against {shown(given[differ])}; {remedy}"
        )


def _classes(labels: np.ndarray) -> list[Any]:
    """Labels as keys: NaN, which differs from itself, is None."""
    return [None if type(label) is float and label != label else label for label in labels.tolist()]


def failure(model: str, metric: str, error: BaseException) -> Outcome:
    """Return the outcome of a metric that raised."""
    message = plain(" ".join(f"{type(error).__name__}: {error}".split()), _LONGEST_ERROR)
    return Outcome(model, metric, float("nan"), float("nan"), message)
