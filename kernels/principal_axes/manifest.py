"""What `principal_axes` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..array_namespace import Array
from ..declarations import Count, Doubles, Features, Given, declare


def _check_number(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    n_axes, variance, rows = given["n_axes"], given["variance"], len(checked["gram"])
    if (n_axes is None) == (variance is None):
        raise ValueError("give either n_axes or variance, not both and not neither")
    if n_axes is not None and n_axes > rows:
        raise ValueError(f"n_axes={n_axes} is out of range: gram has {rows} rows")
    if variance is not None and not 0.0 < variance <= 1.0:
        raise ValueError(f"variance={variance!r} is out of range: it must lie in (0, 1]")


@declare(
    Doubles("n_axes"),
    Doubles("m", "n_axes"),
    gram=Doubles("m", "m"),
    n_axes=Count(),
    variance=Given(),
    check=_check_number,
)
def principal_axes(
    gram: Array,
    n_axes: int | None = None,
    variance: float | None = None,
    *,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """Largest eigenvalues of a Gram matrix and their eigenvectors: exact principal components.

    Parameters
    ----------
    gram : (m, m) float64 array
        Positive semidefinite, upper triangle; not changed. Of centred features, as a rule.
    n_axes : int, optional
        How many axes, k.
    variance : float, optional
        Instead: as few as have more than this share of the sum of all eigenvalues.
    backend : str, optional
        Force a backend.

    Returns
    -------
    values : (k,) float64 array
        Eigenvalues, descending, not negative.
    axes : (m, k) float64 array
        Unit eigenvectors as columns, their largest components positive.

    Raises
    ------
    TypeError
        If gram holds no real numbers or n_axes is no integer.
    ValueError
        If gram is not square, not one of n_axes and variance is given, n_axes is not in [1, m],
        variance not in (0, 1], or the backend is not available.
    """


@declare(Doubles("n", "k"), X=Features(), shift=Doubles("d"), axes=Doubles("d", "k"))
def principal_scores(X: Array, shift: Array, axes: Array, *, backend: str | None = None) -> Array:
    """Coordinates (X - shift) axes of the samples along some axes, in one pass.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    shift : (d,) float64 array
        Subtracted from every sample, as their mean.
    axes : (d, k) float64 array
        As columns.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (n, k) float64 array

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
