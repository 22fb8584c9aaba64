"""What `fisher_scatter` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..array_namespace import Array
from ..declarations import Codes, Count, Doubles, Features, Given, Weights, declare
from . import FisherScatter

DEFAULT_PRECISION = "float64"


def _public_sums(scatter: FisherScatter) -> tuple[Array, Array, Array]:
    """They are the weight and the sum of each class, and the Gram matrix."""
    return scatter.counts, scatter.sums, scatter.gram


def _in_precision(version: ModuleType, *, precision: str, **arguments: Any) -> FisherScatter:
    """By a version that offers the precision, if it is another than all have."""
    if precision == DEFAULT_PRECISION:
        return version.fisher_scatter(**arguments)
    offered = getattr(version, "PRECISIONS", (DEFAULT_PRECISION,))
    if precision not in offered:
        raise ValueError(
            f"precision={precision!r} is not to be had here, only {', '.join(offered)}; "
            '"float32" needs backend="triton"'
        )
    return version.fisher_scatter(**arguments, precision=precision)


@declare(
    Doubles("n_classes"),
    Doubles("n_classes", "d"),
    Doubles("d", "d"),
    X=Features(narrow=True),
    codes=Codes("n_classes"),
    n_classes=Count(),
    weights=Weights(),
    shift=Doubles("d"),
    precision=Given(),
    call=_in_precision,
    gives=_public_sums,
)
def fisher_scatter(
    X: Array,
    codes: Array,
    n_classes: int,
    weights: Array | None = None,
    *,
    shift: Array | None = None,
    precision: str = "float64",
    backend: str | None = None,
) -> FisherScatter:
    """Class sums and Gram matrix of the features in one pass over them.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides.
    codes : (n,) integer array
        Classes in [0, n_classes).
    n_classes : int
        Number of classes, C.
    weights : (n,) array, optional
        Weights, not negative; one each by default.
    shift : (d,) array, optional
        Point around which to accumulate; by default near the mean.
    precision : {"float64", "float32"}
        Of the products of the Gram matrix. "float32", on a GPU with the backend "triton", takes
        three TF32 products for each and sums blocks of rows in float64: good to a few 1e-6
        relative to the features' norms, where "float64" is to 1e-12 and better.
    backend : str, optional
        Force a backend.

    Returns
    -------
    FisherScatter
        ``.counts`` (C,), ``.sums`` (C, d), ``.gram`` (d, d), float64. Scatters of disjoint samples
        add with ``+``; ``.save(path)`` and ``FisherScatter.load(path)`` keep them. Beyond X they
        take O(d^2 + C d) memory.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or the codes or n_classes are no integers.
    ValueError
        If the shapes do not fit, a code is outside [0, n_classes), a weight is negative or not
        finite, or the backend is not available or lacks the precision.
    """
