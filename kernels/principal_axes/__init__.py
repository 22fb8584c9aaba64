"""Contract of `principal_axes`: leading eigenpairs of a Gram matrix, and samples along them.

    principal_axes(gram, n_axes=None, variance=None) -> (values, axes)
    principal_scores(X, shift, axes) -> scores

`principal_axes`
    For ``gram`` (m, m) float64, positive semidefinite, of which only the upper triangle is read:
    its k largest eigenvalues, (k,) float64, descending and not negative, and their eigenvectors of
    unit length as columns, (m, k) float64. k is ``n_axes``; or the smallest number whose share of
    the sum of all eigenvalues is above ``variance``, m where none is. One of the two is given. In
    each axis the component largest in size is positive.
`principal_scores`
    (X - shift) axes, (n, k) float64, for ``X`` (n, d), float16, float32 or float64, any strides;
    ``shift`` (d,) and ``axes`` (d, k) float64. X is read once, in blocks; no copy of it is made.

Axes whose eigenvalues agree to rounding are known only together, as the space that they span.
"""

from typing import Any

import numpy as np

from ..array_namespace import Array


def number_of_axes(values: np.ndarray, total: Any, variance: Any) -> Any:
    """How many of the descending ``values``, which sum to ``total`` when all, exceed a share."""
    shares = np.cumsum(values) / total if total > 0.0 else np.ones(len(values))
    return int(np.searchsorted(shares, variance, side="right")) + 1


def with_signs(axes: Array) -> Any:
    """The axes with their largest components positive, in place."""
    largest = np.abs(axes).argmax(axis=0)
    axes *= np.where(np.take_along_axis(axes, largest[None], axis=0) < 0.0, -1.0, 1.0)
    return axes
