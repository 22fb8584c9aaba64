"""Source posteriors with the target's classes: what LEEP, NCE and PACTran share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .. import ops
from ..kernels.array_namespace import beside, on_host


class LabelledPosteriors:
    """Probabilities of source classes, or of a mixture's components, and their sums by class.

    Parameters
    ----------
    theta : (n, Z) array, tensor or SciPy matrix in CSR form
        Probabilities; they are not checked.
    codes : (n,) int64 array
        Classes of the target in [0, C), on the host; each occurs.
    bound : transfer_kernels.ops.BoundOps
        The ops of the backend that serves theta.
    """

    def __init__(self, theta: Any, codes: np.ndarray, bound: ops.BoundOps) -> None:
        self.theta, self.host_codes, self.ops = theta, codes, bound
        self.codes = beside(theta, codes)
        self.class_counts = np.bincount(codes).astype(np.float64)

    @property
    def n_samples(self) -> int:
        """Number of samples, n."""
        return len(self.host_codes)

    @property
    def n_classes(self) -> int:
        """Number of classes, C."""
        return len(self.class_counts)

    @cached_property
    def sums(self) -> Any:
        """(C, Z) float64 sum of the posteriors of each class, beside them."""
        return self.ops.class_sums(self.theta, self.codes, self.n_classes)[0]

    @cached_property
    def source_codes(self) -> np.ndarray:
        """(n,) most probable source class of each sample, the first where several are."""
        # That of a SciPy matrix is a matrix of one column.
        return on_host(self.theta.argmax(axis=1)).reshape(-1)
