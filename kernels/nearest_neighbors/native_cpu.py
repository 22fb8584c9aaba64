"""`nearest_neighbors` in C++: products in float32 choose, differences in float64 rank and prove."""

from __future__ import annotations

import numpy as np

from ..array_namespace import Array
from ..native_runtime import native_module, runtime_arguments
from . import RESOLUTION, TINY, UNIT, n_candidates, product_error
from .lapack_rows import comparable, origin_of


def nearest_neighbors(
    X: Array, k: int, metric: str = "euclidean", others: Array | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    queries, given = comparable(X, others, metric)
    oneself = others is None
    origin, floor = origin_of(given)
    indices = np.empty((len(queries), k), dtype=np.int64)
    squares = np.empty((len(queries), k))
    array, query_array = given.array, queries.array
    if array.dtype != query_array.dtype:
        array, query_array = array.astype(np.float64), query_array.astype(np.float64)
    native_module().nearest_neighbors(
        array,
        given.scales,
        None if oneself else query_array,
        None if oneself else queries.scales,
        origin,
        product_error=product_error(given.n_features),
        rounding=UNIT,
        floor=floor,
        tiny=TINY,
        resolution=RESOLUTION if metric == "cosine" else 0.0,
        kept=n_candidates(k, len(given) - oneself),
        indices=indices,
        squares=squares,
        **runtime_arguments(),
    )
    if metric == "cosine":
        return indices, 0.5 * squares
    return indices, np.ldexp(np.sqrt(squares), given.exponent)
