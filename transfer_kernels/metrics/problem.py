"""One model's features with the target's labels: what the metrics of that model share."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from .. import ops
from ..inputs import arrays
from ..kernels.array_namespace import array_namespace, as_float64, beside
from ..ops import FisherScatter
from ..text.quoting import shown

#: Features whose largest is within 2^-64 and 2^64 are taken as they are.
ORDINARY_EXPONENT = 64


class Problem:
    """Validated features and labels, and the quantities that more than one metric needs.

    Every quantity is made when a metric first asks for it, once.

    Parameters
    ----------
    features : (n, d) array or tensor
        Features that a pre-trained model extracts from the target data set. On a GPU they stay
        there, and so does all that is made from them.
    labels : (n,) or (n, k) array, tensor or list
        Class labels of any hashable kind, regression targets or label vectors.
    backend : str, optional
        Force a backend for every op.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label. By default none is, and a missing label is an error.

    Raises
    ------
    TypeError
        If the features are no real numbers, or a tensor is on a device without a backend.
    ValueError
        If the features are not two-dimensional, are empty or contain NaN or infinity, if the
        lengths differ, a label is missing, or if the backend is not available.
    """

    def __init__(
        self,
        features: Any,
        labels: Any,
        backend: str | None = None,
        ignore_label: Any = None,
    ):
        self.features = arrays.as_features(features, narrow=True)
        self.ops = ops.bound_ops(self.features, backend)
        self.labels = arrays.as_labels(labels, len(self.features))
        if ignore_label is not None:
            self._drop(arrays.labelled_as(self.labels, ignore_label), ignore_label)
        arrays.refuse_missing(self.labels)
        bad = self.ops.first_nonfinite(self.features)
        arrays.refuse_nonfinite(bad, self.features, "features")

    def _drop(self, ignored: np.ndarray, ignore_label: Any) -> None:
        if ignored.all():
            raise ValueError(
                f"labels: all {len(ignored)} are the ignore_label {shown(ignore_label)}"
            )
        if ignored.any():
            kept = np.flatnonzero(~ignored)
            self.labels = self.labels[kept]
            self.features = self.features[beside(self.features, kept)]

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
        return Problem(scaled, self.labels, self.backend), exponent

    @property
    def backend(self) -> str:
        """Name of the backend that serves."""
        return self.ops.backend

    @property
    def n_samples(self) -> int:
        """Number of samples, n, without those left out."""
        return int(self.features.shape[0])

    @property
    def n_features(self) -> int:
        """Number of features, d."""
        return int(self.features.shape[1])

    @cached_property
    def _encoded(self) -> tuple[np.ndarray, np.ndarray]:
        return arrays.encode_classes(self.labels)

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
        return beside(self.features, self.host_codes)

    @cached_property
    def class_counts(self) -> np.ndarray:
        """(C,) float64 number of samples of each class."""
        return np.bincount(self.host_codes).astype(np.float64)

    @cached_property
    def targets(self) -> np.ndarray:
        """(n, k) labels as real numbers."""
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
