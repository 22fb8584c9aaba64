"""What `first_nonfinite` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Features, Integers, declare


def _position(found: tuple[int, int] | None) -> tuple[int, int]:
    """Both numbers are -1 where all are finite."""
    return found or (-1, -1)


@declare(Integers(2), X=Features(), gives=_position)
def first_nonfinite(X: Array, *, backend: str | None = None) -> tuple[int, int] | None:
    """Row and column of the first NaN or infinity, in row-major order.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides. They are read once.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (row, column) or None
        None where all are finite.
    """
