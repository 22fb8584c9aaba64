"""What `source_posteriors` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Codes, Count, Doubles, Features, Number, declare


@declare(
    Doubles("n_classes", "d"),
    Doubles("n"),
    Doubles("n"),
    theta=Features(sparse=True),
    codes=Codes("n_classes"),
    n_classes=Count(),
)
def class_sums(
    theta: Array, codes: Array, n_classes: int, *, backend: str | None = None
) -> tuple[Array, Array, Array]:
    """Sums of source posteriors over each target class, and what shows that they are such.

    Parameters
    ----------
    theta : (n, Z) array, or SciPy matrix in CSR form
        Source posteriors, float16, float32 or float64; in CSR form float32 or float64.
    codes : (n,) integer array
        Classes in [0, n_classes).
    n_classes : int
        Number of classes, C.
    backend : str, optional
        Force a backend.

    Returns
    -------
    sums : (C, Z) float64 array
        Sum of the rows of each class.
    totals : (n,) float64 array
        Sum of each row: 1 for probabilities.
    lowest : (n,) float64 array
        Least entry of each row; undefined where the total is NaN.

    Raises
    ------
    TypeError
        If theta holds no real numbers, or the codes or n_classes are no integers.
    ValueError
        If the lengths differ, a code is out of range, or the backend is not available.
    """


@declare(Doubles("n"), theta=Features(sparse=True), codes=Codes("C"), table=Doubles("C", "d"))
def own_class(theta: Array, codes: Array, table: Array, *, backend: str | None = None) -> Array:
    """Product of each sample's source posterior with its own class's row of a table.

    Parameters
    ----------
    theta : (n, Z) array, or SciPy matrix in CSR form
        Source posteriors, float16, float32 or float64; in CSR form float32 or float64.
    codes : (n,) integer array
        Classes in [0, C).
    table : (C, Z) float64 array
        As p(class | source class), which makes the values LEEP's.
    backend : str, optional
        Force a backend.

    Returns
    -------
    (n,) float64 array

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or the codes are no integers.
    ValueError
        If the shapes do not fit, a code is out of range, or the backend is not available.
    """


@declare(
    Doubles("C", "d"),
    Doubles(),
    theta=Features(sparse=True),
    codes=Codes("C"),
    table=Doubles("C", "d", not_negative=True),
    floor=Number(0.0),
)
def tilted_sums(
    theta: Array, codes: Array, table: Array, floor: float, *, backend: str | None = None
) -> tuple[Array, float]:
    """One round of PACTran: posteriors times their class's row of a table, normalised and summed.

    Parameters
    ----------
    theta : (n, Z) array, or SciPy matrix in CSR form
        Source posteriors, float16, float32 or float64; in CSR form float32 or float64.
    codes : (n,) integer array
        Classes in [0, C).
    table : (C, Z) float64 array
        Not negative.
    floor : float
        Added to every posterior, not negative.
    backend : str, optional
        Force a backend.

    Returns
    -------
    sums : (C, Z) float64 array
        Sum of the normalised rows of each class.
    log_norm : float
        Sum of the logarithms of what the rows were divided by.

    Raises
    ------
    TypeError
        If an argument holds no real numbers, or the codes are no integers.
    ValueError
        If the shapes do not fit, a code is out of range, the floor or an entry of the table is
        negative or not finite, or the backend is not available.
    """
