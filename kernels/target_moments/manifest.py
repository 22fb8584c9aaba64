"""What `target_moments` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Doubles, Features, declare


@declare(Doubles("d", "K"), X=Features(), Y=Doubles("n", "K"), origin=Doubles("d"))
def target_moments(
    X: Array, Y: Array, origin: Array | None = None, *, backend: str | None = None
) -> Array:
    """Cross moments X^T Y of the features with real targets, or (X - origin)^T Y.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides; read once, in blocks.
    Y : (n, K) float64 array
    origin : (d,) float64 array, optional
        Subtracted from every sample, without loss of digits where it is far from zero.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (d, K) float64 array

    Raises
    ------
    TypeError
        If X or Y holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
