"""What `positive_definite` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Doubles, Number, declare


@declare(Doubles("K"), Doubles(), gram=Doubles("m", "m"), columns=Doubles("m", "K"))
def quadratic_forms(
    gram: Array, columns: Array, *, backend: str | None = None
) -> tuple[Array, int]:
    """x^T G^+ x of vectors in the range of a Gram matrix, and its rank.

    Parameters
    ----------
    gram : (m, m) float64 array
        G, positive semidefinite, upper triangle; not changed. Its units do not matter: it is scaled
        to a unit diagonal, of which m times float64's rounding counts as nothing.
    columns : (m, K) float64 array
        The vectors x, in the range of G.
    backend : str, optional
        Force a backend.

    Returns
    -------
    forms : (K,) float64 array
    rank : int

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """


@declare(Doubles(), gram=Doubles("m", "m"), scale=Number(0.0))
def log_determinant(gram: Array, scale: float, *, backend: str | None = None) -> float:
    """Logarithm of det(I + scale G) for a Gram matrix G.

    Parameters
    ----------
    gram : (m, m) float64 array
        G, positive semidefinite, upper triangle; not changed.
    scale : float
        Not negative.
    backend : str, optional
        Force a backend.

    Returns
    -------
    float
        In nats. NaN where the Gram matrix has lost the digits that it depends on, beside a sample
        that drowns all others; `transfer_kernels.transrate` then takes the samples themselves.

    Raises
    ------
    TypeError
        If gram holds no real numbers.
    ValueError
        If gram is not square, scale is negative or not finite, or the backend is not available.
    """


@declare(Doubles("m", "K"), Doubles(), gram=Doubles("m", "m"), columns=Doubles("m", "K"))
def semidefinite_solve(
    gram: Array, columns: Array, *, backend: str | None = None
) -> tuple[Array, int]:
    """A solution W of G W = columns for vectors in the range of a Gram matrix G, and its rank.

    Parameters
    ----------
    gram : (m, m) float64 array
        G, positive semidefinite, upper triangle; not changed. It is scaled to a unit diagonal, of
        which m times float64's rounding counts as nothing.
    columns : (m, K) float64 array
        In the range of G.
    backend : str, optional
        Force a backend.

    Returns
    -------
    solutions : (m, K) float64 array
        One of them where G is singular; columns^T solutions is the same for all.
    rank : int

    Raises
    ------
    TypeError
        If an argument holds no real numbers.
    ValueError
        If the shapes do not fit or the backend is not available.
    """
