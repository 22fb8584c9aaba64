"""What `fisher_discriminant` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..array_namespace import Array, array_namespace, is_tensor
from ..declarations import Count, Doubles, Given, Number, declare


def _upper(matrix: Array) -> Array:
    """Below the diagonal it is zero."""
    return array_namespace(matrix).triu(matrix)


def _is_c_ordered(array: Array) -> bool:
    return bool(array.is_contiguous() if is_tensor(array) else array.flags.c_contiguous)


def _check_overwriting(given: Mapping[str, Any], checked: dict[str, Any]) -> None:
    """Versions overwrite the matrix: it is a copy, unless the caller gives it away."""
    within = checked["within"]
    if not checked["overwrite_within"]:
        checked["within"] = within.clone() if is_tensor(within) else within.copy(order="C")
    elif within is not given["within"] or not _is_c_ordered(within):
        raise ValueError(
            "within must be a C-ordered float64 array to be overwritten; leave overwrite_within out"
        )


def _overwrite(version: ModuleType, *, overwrite_within: bool, **arguments: Any) -> Any:
    return version.fisher_discriminant(**arguments)


@declare(
    Doubles("d", "d"),
    gram=Doubles("d", "d"),
    left=Doubles("m", "d"),
    right=Doubles("m", "d"),
    n_samples=Count(),
    gives=_upper,
)
def within_scatter(
    gram: Array, left: Array, right: Array, n_samples: int, *, backend: str | None = None
) -> Array:
    """Within-class scatter: (gram + (left^T right + right^T left) / 2) / n_samples.

    With ``left`` minus the class sums and ``right`` the class means it is the scatter around the
    class means.

    Parameters
    ----------
    gram : (d, d) float64 array
        Second moments of the features, upper triangle; not changed.
    left, right : (m, d) float64 arrays
    n_samples : int
    backend : str, optional
        Force a backend.

    Returns
    -------
    (d, d) float64 array
        Only the upper triangle is meant; what stands below the diagonal is undefined.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or n_samples is no integer.
    ValueError
        If the shapes do not fit, n_samples is less than 1, or the backend is not available.
    """


@declare(Doubles(), within=Doubles("d", "d"), ones=Doubles("d"))
def dominant_eigenvalue(within: Array, ones: Array, *, backend: str | None = None) -> float:
    """SFDA's power-iteration estimate of the largest eigenvalue (Shao et al., ECCV 2022).

    From x = A 1, three rounds of y = A x / norm(A x), x = A y / norm(A y); then x . A y.

    Parameters
    ----------
    within : (d, d) float64 array
        A, upper triangle; not changed.
    ones : (d,) float64 array
        The vector of ones, or its image where the features were rotated.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        Zero for a zero matrix.

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """


@declare(
    Doubles("C", "d"),
    Doubles("C"),
    within=Doubles("d", "d"),
    means=Doubles("C", "d"),
    shrinkage=Number(0.0, 1.0),
    n_features=Count(),
    overwrite_within=Given(),
    check=_check_overwriting,
    call=_overwrite,
)
def fisher_discriminant(
    within: Array,
    means: Array,
    shrinkage: float,
    n_features: int,
    *,
    overwrite_within: bool = False,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """Coefficients and offsets of the shrunk linear discriminant.

    With S = (1 - s) Sw + s trace(Sw) / n_features I, s the shrinkage: coef = means S^-1 and
    offset = diag(coef means^T) / 2, so that class c scores x . coef[c] - offset[c] + ln prior[c].

    Parameters
    ----------
    within : (d, d) array
        Sw of any real dtype and layout, upper triangle.
    means : (C, d) float64 array
        Class means.
    shrinkage : float
        s, in [0, 1].
    n_features : int
        By which the trace is divided: d, or the number of features before a rotation to fewer.
    overwrite_within : bool, default False
        Whether ``within``, float64 and C-ordered then, may be overwritten, which saves a copy.
    backend : str, optional
        Force a backend.

    Returns
    -------
    coef : (C, d) float64 array
    offset : (C,) float64 array

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or n_features is no integer.
    ValueError
        If S is not positive definite to working precision, the shapes do not fit, the shrinkage
        is not in [0, 1], ``within`` cannot be overwritten, or the backend is not available.
    """
