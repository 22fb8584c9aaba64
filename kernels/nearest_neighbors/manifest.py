"""What `nearest_neighbors` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..array_namespace import Array
from ..declarations import Choice, Count, Doubles, Features, Integers, declare
from . import METRICS


def _check(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    k, n, others = checked["k"], len(checked["X"]), checked["others"]
    most = n - 1 if others is None else len(others)
    if k > most:
        rows = f"each row of X has {most} others" if others is None else f"others has {most} rows"
        raise ValueError(f"k={k} is out of range: {rows}")


@declare(
    Integers("n", "k"),
    Doubles("n", "k"),
    X=Features(),
    k=Count(),
    metric=Choice(*METRICS),
    others=Doubles("m", "d"),
    check=_check,
)
def nearest_neighbors(
    X: Array,
    k: int,
    metric: str = "euclidean",
    others: Array | None = None,
    *,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """The k nearest rows of every row, exact: among the other rows of X, or among others.

    Candidates come from products in float32, and are ranked by differences in float64; what is not
    proven by a bound of the error is compared with all rows. An n x n matrix is never made.

    Parameters
    ----------
    X : (n, d) array
        Float16, float32 or float64, any strides, finite.
    k : int
        At most m, or n - 1 without others.
    metric : {"euclidean", "cosine"}
        The distance is ``|x - y|``, or ``1 - x.y / (|x| |y|)``; a row of zeros is at 1 from
        all others.
    others : (m, d) array, optional
        Where the neighbours are looked for, finite. By default in X; a row is then not its own
        neighbour, but its duplicates are.
    backend : str, optional
        Force a backend.

    Returns
    -------
    indices : (n, k) int64 array
        The nearest first; of equal distances the lower index first.
    distances : (n, k) float64 array

    Raises
    ------
    TypeError
        If X or others hold no real numbers or k is no integer.
    ValueError
        If the shapes do not fit, k is out of range, the metric is unknown or the backend is not
        available.
    """
