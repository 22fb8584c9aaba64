"""One model's outputs with the target's labels: what the metrics of that model share."""

from __future__ import annotations

import math
from collections.abc import Set
from functools import cached_property
from typing import Any

import numpy as np

from .. import ops
from ..inputs import arrays
from ..inputs.model_outputs import CheckedInputs, Extent, ModelOutputs, checked_target_inputs
from ..kernels.array_namespace import array_namespace, as_float64, beside
from ..ops import FisherScatter
from ..text.quoting import shown
from .mixtures import Mixtures
from .posteriors import LabelledPosteriors

#: Features whose largest is within 2^-64 and 2^64 are taken as they are.
ORDINARY_EXPONENT = 64


class Problem:
    """Validated inputs and labels, and the quantities that more than one metric needs.

    Every quantity is made when a metric first asks for it, once.

    Parameters
    ----------
    features : (n, d) array or tensor, or ModelOutputs
        Features that a pre-trained model extracts from the target data set, or all that it gives.
        On a GPU they stay there, and so does all that is made from them.
    labels : (n,) or (n, k) array, tensor or list, or None
        Class labels of any hashable kind, regression targets or label vectors; None for metrics
        that take none.
    backend : str, optional
        Force a backend for every op.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.
    **target_inputs : object
        What the target gives besides its labels, see
        `transfer_kernels.inputs.model_outputs.TargetInputs`.

    Attributes
    ----------
    anchor : array or tensor
        No numbers, but on the device where all is: for ``beside(problem.anchor, values)``.
    inputs : CheckedInputs
        All named inputs, as ``problem.inputs.posteriors``: each is checked when a metric first
        reads it, and lies beside the features.

    Raises
    ------
    TypeError
        If the features are no real numbers, or a tensor is on a device without a backend.
    ValueError
        If the features are not two-dimensional, are empty or contain NaN or infinity, if the
        lengths differ, a label is missing, or if the backend is not available.
    """

    #: Whether the features and labels themselves are not there: their sums alone are.
    only_sums = False

    def __init__(
        self,
        features: Any,
        labels: Any,
        backend: str | None = None,
        ignore_label: Any = None,
        **target_inputs: Any,
    ):
        if isinstance(features, ModelOutputs):
            given, first = features.given, features.first
        else:
            given, first = {"features": features}, features
        if target_inputs:
            given = {**given, **checked_target_inputs(target_inputs)}
        X = arrays.as_features(first, narrow=True) if "features" in given else None
        n_samples = features.n_samples if X is None else len(X)
        self.ops = ops.bound_ops(first if X is None else X, backend)
        self.is_labelled = labels is not None
        self.labels = (
            arrays.as_labels(labels, n_samples) if self.is_labelled else np.zeros(n_samples)
        )
        every, kept = self.labels, None
        if ignore_label is not None and self.is_labelled:
            kept = self._keep(arrays.labelled_as(every, ignore_label), ignore_label)
        arrays.refuse_missing(self.labels)
        self.anchor = arrays.empty_beside(first if X is None else X)
        if X is not None:
            if kept is not None:
                X = X[beside(X, kept)]
            arrays.refuse_nonfinite(self.ops.first_nonfinite(X), X, "features")
            self.features = given["features"] = X
        extent = Extent.of_labels(every, kept)
        self.inputs = CheckedInputs(given, extent, self.anchor, kept)

    def _keep(self, ignored: np.ndarray, ignore_label: Any) -> np.ndarray | None:
        """Leave labels out; the indices of those that stay unless all do."""
        if ignored.all():
            raise ValueError(
                f"labels: all {len(ignored)} are the ignore_label {shown(ignore_label)}"
            )
        if not ignored.any():
            return None
        kept = np.flatnonzero(~ignored)
        self.labels = self.labels[kept]
        return kept

    @cached_property
    def features(self) -> Any:
        """(n, d) features, as they were given wherever that is possible."""
        return self.inputs.features  # raises: they were set if there are some

    @cached_property
    def posteriors(self) -> LabelledPosteriors:
        """Source posteriors with the classes, and their sums."""
        return LabelledPosteriors(self.inputs.posteriors, self.host_codes, self.ops)

    @cached_property
    def mixtures(self) -> Mixtures:
        """Mixtures of Gaussians that were fitted to the features, by what they were asked for."""
        return Mixtures(self)

    @cached_property
    def rescaled(self) -> tuple[Problem, int]:
        """A problem whose squares neither overflow nor vanish, and e: its features times 2^e.

        Itself and 0 for features of ordinary size; a power of two rounds nothing.
        """
        if self.features.dtype.itemsize == 2 and array_namespace(self.features) is np:
            return self, 0  # float16 cannot be out of range
        peak = max(float(self.features.max()), -float(self.features.min()))
        exponent = math.frexp(peak)[1]
        if peak == 0.0 or abs(exponent) <= ORDINARY_EXPONENT:
            return self, 0
        X = as_float64(self.features)
        # In two steps: 2^-e alone overflows for the smallest numbers.
        half = -exponent // 2
        scaled = (X * 2.0**half) * 2.0 ** (-exponent - half)
        other = Problem(scaled, self.labels, self.backend)
        other.is_labelled = self.is_labelled
        other.inputs = self.inputs.with_features(scaled)
        return other, exponent

    def lacking(self, needs: Set[str], from_scatter: bool = False) -> list[str]:
        """Those inputs of a metric's needs that are not there, in the order of the table."""
        return self.inputs.lacking(needs)

    @cached_property
    def task(self) -> str | None:
        """The task that the labels are of, see `Metric`; None without labels."""
        return arrays.kind_of_labels(self.labels) if self.is_labelled else None

    @property
    def backend(self) -> str:
        """Name of the backend that serves."""
        return self.ops.backend

    @cached_property
    def n_samples(self) -> int:
        """Number of samples, n, without those left out."""
        return len(self.labels)

    @cached_property
    def n_features(self) -> int:
        """Number of features, d."""
        return int(self.features.shape[1])

    @cached_property
    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        self._require_labels()
        return arrays.encode_classes(self.labels)

    def _require_labels(self) -> None:
        if not self.is_labelled:
            raise ValueError("labels needed, but not given; pass one for each sample")

    @property
    def classes(self) -> np.ndarray:
        """(C,) classes that occur."""
        return self._encoded[0]

    @property
    def host_codes(self) -> np.ndarray:
        """(n,) int64 index of each sample's class."""
        return self._encoded[1]

    @cached_property
    def codes(self) -> Any:
        """The same, beside the features."""
        return beside(self.anchor, self.host_codes)

    @cached_property
    def class_counts(self) -> np.ndarray:
        """(C,) float64 number of samples of each class."""
        return np.bincount(self.host_codes).astype(np.float64)

    @cached_property
    def targets(self) -> np.ndarray:
        """(n, k) labels as real numbers."""
        self._require_labels()
        return arrays.as_targets(self.labels)

    @cached_property
    def scatter(self) -> FisherScatter:
        """Class sums and Gram matrix of the features."""
        return self.ops.fisher_scatter(self.features, self.codes, len(self.classes))

    @cached_property
    def centred(self) -> FisherScatter:
        """Class sums and Gram matrix of the features around their mean."""
        total = self.scatter.shifted_sums.sum(axis=0) / self.n_samples
        return self.scatter.moved_to(self.scatter.shift + total)

    @cached_property
    def row_statistics(self) -> tuple[Any, Any]:
        """(n,) squared distance of each sample from the mean, and logarithm of its sum of exp."""
        return self.ops.row_statistics(self.features, self.mean)

    @cached_property
    def mean(self) -> Any:
        """(d,) float64 mean of the features."""
        if "scatter" in self.__dict__:
            return self.centred.shift
        return self.features.mean(axis=0, dtype=array_namespace(self.features).float64)

    @cached_property
    def centred_rows(self) -> Any:
        """(n, d) float64 features less their mean: a copy, for n < d and where digits are short."""
        X = beside(self.centred.shift, as_float64(self.features))
        X = X - X.mean(axis=0)
        return X - X.mean(axis=0)  # what the rounding of a large mean has left

    @cached_property
    def centred_gram(self) -> Any:
        """Z^T Z (d, d) of the centred features, Z Z^T (n, n) where n < d; upper triangle."""
        if self.n_samples >= self.n_features:
            return self.centred.shifted_gram
        rows = self.centred_rows.T
        codes = beside(rows, np.zeros(len(rows), dtype=np.int64))
        zero = beside(rows, np.zeros(self.n_samples))
        return self.ops.fisher_scatter(rows, codes, 1, None, zero).shifted_gram

    @cached_property
    def gram(self) -> Any:
        """X^T X (d, d) where n > d, else X X^T (n, n); upper triangle, features not centred."""
        scatter = self.gram_scatter
        return scatter.moved_to(0.0 * scatter.shift).shifted_gram

    @cached_property
    def gram_scatter(self) -> FisherScatter:
        """What `gram` comes from: a scatter of the samples, or of the features as rows."""
        if self.n_samples <= self.n_features:
            return self._unlabelled_scatter(self.features.T)
        # Classes do not enter the Gram matrix: where a scatter is at hand, it serves.
        return self.__dict__.get("scatter") or self._unlabelled_scatter(self.features)

    def _unlabelled_scatter(self, rows: Any) -> FisherScatter:
        codes = beside(rows, np.zeros(len(rows), dtype=np.int64))
        return self.ops.fisher_scatter(rows, codes, 1)

    def principal_scores(self, n_axes: int) -> tuple[Any, Any]:
        """Scatter (k,) along the leading principal axes, and the samples' coordinates (n, k).

        Exact, and made once; k is n_axes, or the smaller side of the features where that is less.
        Where n < d they come from the (n, n) products, and the axes are never made.
        """
        arrays.require_positive_integer(n_axes, "n_components")
        n_axes = min(n_axes, self.n_samples, self.n_features)
        values, scores = self._leading.get(n_axes, (None, None))
        if scores is None:
            values, axes = self.ops.principal_axes(self.centred_gram, n_axes)
            if self.n_samples >= self.n_features:
                scores = self.ops.principal_scores(self.features, self.mean, axes)
            else:
                scores = axes * values**0.5
            self._leading[n_axes] = values, scores
        return values, scores

    @cached_property
    def _leading(self) -> dict[int, tuple[Any, Any]]:
        return {}
