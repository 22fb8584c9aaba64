"""What `gaussian_pairs` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Doubles, declare


@declare(
    Doubles("C", "C"),
    Doubles("C", "C"),
    means=Doubles("C", "p"),
    covariances=Doubles("C", "p", "p", fewest=1),
)
def gaussian_pairs(
    means: Array, covariances: Array, *, backend: str | None = None
) -> tuple[Array, Array]:
    """Mahalanobis distances and log-determinants of all pairs of normal distributions.

    With S the mean of two covariances: the square of the distance of the two means by S, and
    ln det S. The Bhattacharyya distance of i and j is
    distances[i, j] / 8 + (logdets[i, j] - (logdets[i, i] + logdets[j, j]) / 2) / 2.

    Parameters
    ----------
    means : (C, p) float64 array
    covariances : (C, p, p), (C, p) or (C,) float64 array
        Matrices, of which the upper triangles are read; diagonals; or multiples of the identity.
    backend : str, optional
        Force a backend.

    Returns
    -------
    distances : (C, C) float64 array
        Squared; NaN where S is singular.
    logdets : (C, C) float64 array
        In nats, the classes' own on the diagonal; negative infinity where S is singular.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
