"""What `randomized_pca` offers users: signatures, and what arguments must be."""

from __future__ import annotations

from ..array_namespace import Array
from ..declarations import Components, Doubles, Features, declare


@declare(Doubles("n", "n_components"), X=Features(narrow=True), n_components=Components())
def randomized_pca(X: Array, n_components: int, *, backend: str | None = None) -> Array:
    """Projection on the leading principal components, as PARC takes it.

    The randomised range finder of Halko, Martinsson and Tropp (SIAM Review 2011) with one power
    iteration and ten extra directions from a fixed seed: the projection of PARC's published code,
    signs included.

    Parameters
    ----------
    X : (n, d) array
        Features, float16, float32 or float64, any strides; centred without a copy of them.
    n_components : int
        In [1, min(n, d)].
    backend : str, optional
        Force a backend.

    Returns
    -------
    (n, n_components) float64 array

    Raises
    ------
    TypeError, ValueError
        If n_components is no integer or out of range, or the backend is not available.
    """
