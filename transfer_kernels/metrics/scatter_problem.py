"""Scores from sums: a problem of which a `FisherScatter` is all that is known.

It holds the class sums and the Gram matrix of the features, which determine some metrics; these
have ``from_scatter``. Nothing of the size of the data is there.
"""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property, partial
from typing import Any, NoReturn

import numpy as np

from .. import ops
from ..inputs import arrays
from ..inputs.model_outputs import (
    CheckedInputs,
    Extent,
    MissingInput,
    ModelOutputs,
    as_outputs,
    checked_target_inputs,
    features_of,
)
from ..kernels.array_namespace import array_namespace, on_host
from ..ops import FisherScatter
from .problem import Problem


class _Unknown:
    """An attribute of problems that the sums do not tell."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __get__(self, problem: Any, owner: Any = None) -> NoReturn:
        raise MissingInput(
            f"{self.what} needed: a FisherScatter holds sums alone, which do not determine the "
            "score, or not to enough digits; pass features and labels"
        )


class ScatterProblem(Problem):
    """The sums of one model's features over the classes, as metrics take them.

    Parameters
    ----------
    scatter : FisherScatter
        Its counts are whole numbers, as without weights; classes without samples drop out.
    backend : str, optional
        Force a backend for every op.
    **target_inputs : object
        What the target gives besides its labels.

    Raises
    ------
    ValueError
        If the sums are not finite, the counts no whole numbers or those of fewer than two classes.
    """

    only_sums = True

    def __init__(self, scatter: FisherScatter, backend: str | None = None, **target_inputs: Any):
        counts = on_host(scatter.counts)
        sums = (
            scatter.shift,
            scatter.shifted_sums,
            array_namespace(scatter.shift).triu(scatter.shifted_gram),
        )
        if not all(bool(array_namespace(part).isfinite(part).all()) for part in sums):
            raise ValueError("features: the sums of the FisherScatter contain NaN or infinity")
        if not (np.rint(counts) == counts).all():
            raise ValueError(
                "features: the counts of the FisherScatter are no whole numbers; make it without "
                "weights, or with weights that say how often a sample occurs"
            )
        self.ops = ops.bound_ops(scatter.shift, backend)
        present = np.flatnonzero(counts > 0)
        if len(present) < 2:
            raise ValueError(
                f"features: the FisherScatter has samples of {len(present)} of {len(counts)} "
                "classes; at least two classes are needed"
            )
        self.scatter = scatter if len(present) == len(counts) else _of_classes(scatter, present)
        self._present = present
        self.anchor = arrays.empty_beside(scatter.shift)
        self.class_counts = counts[present]
        self.is_labelled = True
        extent = Extent(self.n_samples, partial(int, len(present)))
        self.inputs = CheckedInputs(checked_target_inputs(target_inputs), extent, self.anchor)

    @property
    def n_samples(self) -> int:
        """Number of samples, n."""
        return int(self.class_counts.sum())

    @property
    def n_features(self) -> int:
        """Number of features, d."""
        return int(self.scatter.shift.shape[0])

    @property
    def classes(self) -> np.ndarray:
        """(C,) codes of the classes that occur."""
        return self._present

    @cached_property
    def rescaled(self) -> tuple[Problem, int]:
        """Itself and 0: what over- or underflowed in the sums cannot be mended."""
        return self, 0

    @cached_property
    def mean(self) -> Any:
        """(d,) float64 mean of the features."""
        return self.centred.shift

    @cached_property
    def centred_gram(self) -> Any:
        """Z^T Z (d, d) of the centred features; upper triangle."""
        return self.centred.shifted_gram

    @cached_property
    def gram_scatter(self) -> FisherScatter:
        """What `gram` comes from."""
        return self.scatter

    def lacking(self, needs: Set[str], from_scatter: bool = False) -> list[str]:
        """Those inputs of a metric's needs that are not there."""
        return self.inputs.lacking(needs - {"features"} if from_scatter else needs)

    @cached_property
    def task(self) -> str | None:
        """Classification: there are sums of classes."""
        return "classification"

    features: Any = _Unknown("features")
    centred_rows: Any = _Unknown("features")
    row_statistics: Any = _Unknown("features")
    labels: Any = _Unknown("labels")
    _encoded: Any = _Unknown("labels")


def _of_classes(scatter: FisherScatter, classes: np.ndarray) -> FisherScatter:
    return FisherScatter(
        scatter.shift,
        scatter.counts[classes],
        scatter.shifted_sums[classes],
        scatter.shifted_gram,
        scatter.root_counts[classes],
        scatter.shifted_root_sums[classes],
    )


def problem_of(
    features: Any,
    labels: Any,
    backend: str | None = None,
    ignore_label: Any = None,
    **target_inputs: Any,
) -> Problem:
    """The problem of a model's outputs or of a `FisherScatter`; arguments as of `Problem`.

    Raises
    ------
    TypeError, ValueError
        As `Problem` and `ScatterProblem` do; also if there are labels, a label to ignore or other
        inputs of the model beside a scatter.
    """
    if not isinstance(features_of(features), FisherScatter):
        return Problem(features, labels, backend, ignore_label, **target_inputs)
    outputs = as_outputs(features)
    if labels is not None:
        raise ValueError("labels: given, but a FisherScatter has its classes in it; leave them out")
    if ignore_label is not None:
        raise ValueError(
            "ignore_label: given, but a FisherScatter has no samples to leave out; make it without "
            "these"
        )
    if more := [name for name in outputs.given if name != "features"]:
        raise ValueError(
            f"{more[0]}: given beside a FisherScatter, which has no samples; pass the features"
        )
    return ScatterProblem(outputs.features, backend, **target_inputs)


def is_scatter(source: Any) -> bool:
    """Whether a model's outputs are a `FisherScatter` alone."""
    features = source.features if isinstance(source, ModelOutputs) else source
    return isinstance(features, FisherScatter)
