"""Source posteriors with the target's labels: what LEEP, NCE and PACTran share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .. import ops
from ..inputs import arrays
from ..kernels.array_namespace import beside, on_host
from ..text.quoting import shown

#: How far the sum of a row may be from 1: half precision rounds by less.
ROUNDING = 1e-3


class LabelledPosteriors:
    """Validated source posteriors and classes, and their sums.

    Parameters
    ----------
    theta : (n, Z) array, tensor or SciPy matrix in CSR form
        Probability of each source class, as `transfer_kernels.arrays.as_posteriors` gives it.
    codes : (n,) int64 array
        Classes of the target in [0, C), each of which occurs.
    bound : transfer_kernels.ops.BoundOps
        The ops of the backend that serves theta.

    Raises
    ------
    ValueError
        If a row holds NaN or a negative number, or does not sum to 1.
    """

    def __init__(self, theta: Any, codes: np.ndarray, bound: ops.BoundOps) -> None:
        self.theta, self.host_codes, self.ops = theta, codes, bound
        self.codes = beside(theta, codes)
        self.n_classes = int(codes.max()) + 1
        self.sums, totals, lowest = bound.class_sums(theta, self.codes, self.n_classes)
        _refuse_improbable(on_host(totals), on_host(lowest))

    @classmethod
    def of(
        cls, posteriors: Any, labels: Any, backend: str | None = None, ignore_label: Any = None
    ) -> LabelledPosteriors:
        """Those of a user's arrays.

        Parameters
        ----------
        posteriors : (n, Z) array, tensor or SciPy matrix in CSR form
        labels : (n,) array, tensor or list
            Class labels of any hashable kind.
        backend : str, optional
            Force a backend.
        ignore_label : optional
            Samples with this label are left out; NaN stands for every missing label.

        Raises
        ------
        TypeError
            If the posteriors are no real numbers, or are sparse in another form than CSR.
        ValueError
            If the shapes do not fit, a label is missing, fewer than two classes occur, a row is no
            probability, or the backend is not available.
        """
        theta = arrays.as_posteriors(posteriors)
        n = theta.shape[0]
        target = (
            arrays.as_array(labels, "labels") if not isinstance(labels, (list, tuple)) else labels
        )
        if len(target) != n:
            raise ValueError(
                f"posteriors and labels must have the same length: {n} rows, but labels has "
                f"{len(target)}"
            )
        target = arrays.as_labels(labels, n)
        if ignore_label is not None:
            ignored = arrays.labelled_as(target, ignore_label)
            if ignored.all():
                raise ValueError(f"labels: all {n} are the ignore_label {shown(ignore_label)}")
            kept = np.flatnonzero(~ignored)
            target, theta = target[kept], theta[beside(theta, kept)]
        arrays.refuse_missing(target)
        _, codes = arrays.encode_classes(target)
        return cls(theta, codes, ops.bound_ops(theta, backend))

    @property
    def n_samples(self) -> int:
        """Number of samples, n."""
        return len(self.host_codes)

    @cached_property
    def joint(self) -> Any:
        """(C, Z) p(class, source class), float64: mean posterior of the samples of each class."""
        return self.sums / self.n_samples

    @cached_property
    def class_counts(self) -> np.ndarray:
        """(C,) float64 number of samples of each class."""
        return np.bincount(self.host_codes).astype(np.float64)

    @cached_property
    def source_codes(self) -> np.ndarray:
        """(n,) most probable source class of each sample, the first where several are."""
        # That of a SciPy matrix is a matrix of one column.
        return on_host(self.theta.argmax(axis=1)).reshape(-1)


def _refuse_improbable(totals: np.ndarray, lowest: np.ndarray) -> None:
    off = ~(np.abs(totals - 1.0) <= ROUNDING) | (lowest < 0.0)
    if not off.any():
        return
    row = int(np.argmax(off))
    what = f"row {row} sums to {totals[row]:.6g}"
    if lowest[row] < 0.0:
        what = f"row {row} contains {lowest[row]:.6g}"
    elif not np.isfinite(totals[row]):
        what = f"row {row} contains NaN or infinity"
    raise ValueError(
        f"posteriors must be probabilities, in rows that sum to 1, but {what}; pass the softmax of "
        "the source head's outputs"
    )
