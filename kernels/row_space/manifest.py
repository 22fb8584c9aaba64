"""What `row_space` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..array_namespace import Array
from ..declarations import Doubles, Features, declare


def _check_rows(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    n, d = checked["X"].shape
    if n >= d:
        raise ValueError(f"X must have fewer rows than columns, not shape {(n, d)}")


@declare(Doubles("n", "n"), Doubles("n", "d"), Doubles("d"), X=Features(), check=_check_rows)
def row_space(X: Array, *, backend: str | None = None) -> tuple[Array, Array, Array]:
    """Centred features in an orthonormal basis of their own row space, for n < d.

    Nothing is lost: X = Z basis + origin.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, n < d.
    backend : str, optional
        Force a backend.

    Returns
    -------
    Z : (n, n) float64 array
        (X - origin) basis^T.
    basis : (n, d) float64 array
        Orthonormal rows.
    origin : (d,) float64 array
        Mean of the rows of X.

    Raises
    ------
    TypeError
        If X holds no real numbers.
    ValueError
        If X is not two-dimensional, has as many rows as columns, or the backend is not available.
    """
