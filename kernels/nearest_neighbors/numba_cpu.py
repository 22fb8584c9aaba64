"""`nearest_neighbors` by Numba and BLAS: products of blocks, each used for both of its row blocks.

A block of products is gone through by rows for the queries among its rows, and again by columns
where its columns are queries too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import blas

from ..array_namespace import Array
from ..numba_runtime import even_ranges, inlined_kernel, kernel, read_only
from ..threads import run_in_threads, thread_count
from . import DEPTH, RESOLUTION, n_candidates, product_error, uncertified
from .lapack_rows import comparable, origin_of, row_blocks

BLOCK_ROWS = 1024


@inlined_kernel
def _keep(score: float, index: int, scores: Any, indices: Any) -> None:
    """Insert into a list sorted from the best on, whose last is worse."""
    at = len(scores) - 1
    while at > 0 and scores[at - 1] < score:
        scores[at] = scores[at - 1]
        indices[at] = indices[at - 1]
        at -= 1
    scores[at] = score
    indices[at] = index


@kernel
def _select_by_rows(
    products: Any,
    halves: Any,
    first_query: int,
    first_row: int,
    oneself: Any,
    scores: Any,
    indices: Any,
) -> None:
    """Queries are the rows of the products; ``oneself``: they are the very rows to choose from."""
    last = scores.shape[1] - 1
    for i in range(products.shape[0]):
        query = first_query + i
        for j in range(products.shape[1]):
            score = products[i, j] - halves[first_row + j]
            if score > scores[query, last] and not (oneself and query == first_row + j):
                _keep(score, first_row + j, scores[query], indices[query])


@kernel
def _select_by_columns(
    products: Any,
    halves: Any,
    first_query: int,
    first_row: int,
    start: int,
    stop: int,
    scores: Any,
    indices: Any,
) -> None:
    """Queries are the columns of the products, from start to stop."""
    last = scores.shape[1] - 1
    for i in range(products.shape[0]):
        half = halves[first_row + i]
        for j in range(start, stop):
            query = first_query + j
            if products[i, j] - half > scores[query, last]:
                _keep(products[i, j] - half, first_row + i, scores[query], indices[query])


@kernel
def _rank(
    queries: Any,
    query_scales: Any,
    array: Any,
    scales: Any,
    resolution: float,
    candidates: Any,
    squares: Any,
) -> None:
    """Squared distances of the candidates, sorted, the lower index first of equal ones."""
    x = np.empty(queries.shape[1])
    for i in range(len(queries)):
        for f in range(len(x)):
            x[f] = queries[i, f] * query_scales[i]
        for place in range(candidates.shape[1]):
            j = candidates[i, place]
            square = 0.0
            for f in range(len(x)):
                difference = array[j, f] * scales[j] - x[f]
                square += difference * difference
            if resolution > 0.0:
                square = resolution * np.rint(square / resolution)
            at = place
            while at > 0 and (
                squares[i, at - 1] > square
                or (squares[i, at - 1] == square and candidates[i, at - 1] > j)
            ):
                squares[i, at] = squares[i, at - 1]
                candidates[i, at] = candidates[i, at - 1]
                at -= 1
            squares[i, at] = square
            candidates[i, at] = j


@kernel
def _compare_with_all(
    x: Any, oneself: Any, array: Any, scales: Any, resolution: float, found: Any, squares: Any
) -> None:
    """The nearest of all rows; ``oneself`` is the row that is left out, or -1."""
    count, last = 0, len(found) - 1
    for j in range(len(array)):
        if j == oneself:
            continue
        square = 0.0
        for f in range(len(x)):
            difference = array[j, f] * scales[j] - x[f]
            square += difference * difference
        if resolution > 0.0:
            square = resolution * np.rint(square / resolution)
        if count > last and not square < squares[last]:
            continue
        at = min(count, last)
        count = min(count + 1, last + 1)
        while at > 0 and squares[at - 1] > square:
            squares[at] = squares[at - 1]
            found[at] = found[at - 1]
            at -= 1
        squares[at] = square
        found[at] = j


def _readable(array: Any) -> Any:
    """In a type that Numba reads: it has no fast float16."""
    return read_only(array.astype(np.float32) if array.dtype == np.float16 else array)


def _in_float32(given: Any, origin: Any) -> Any:
    """The rows less the origin in float32, and their norms."""
    centred = np.empty((len(given), given.n_features), np.float32)
    norms = np.empty(len(given))

    def convert(part: slice) -> None:
        block = given.block(part) - origin
        norms[part] = np.sqrt(np.einsum("ij,ij->i", block, block))
        centred[part] = block

    run_in_threads(convert, row_blocks(*centred.shape))
    return centred, norms


def _add_products(left: Any, right: Any, out: Any) -> None:
    """left right^T to ``out``, some features at a time, which bounds the error."""
    for start in range(0, left.shape[1], DEPTH):
        part = slice(start, start + DEPTH)
        blas.sgemm(
            1.0, right[:, part].T, left[:, part].T, float(start > 0), c=out.T, trans_a=1,
            overwrite_c=1,
        )  # fmt: skip


def nearest_neighbors(
    X: Array, k: int, metric: str = "euclidean", others: Array | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    queries, given = comparable(X, others, metric)
    oneself = others is None
    kept = n_candidates(k, len(given) - oneself)
    origin, floor = origin_of(given)
    centred, norms = _in_float32(given, origin)
    query_rows, query_norms = (centred, norms) if oneself else _in_float32(queries, origin)
    halves = read_only((0.5 * norms**2).astype(np.float32))
    scores = np.full((len(queries), kept), -np.inf, np.float32)
    indices = np.full((len(queries), kept), -1)

    for first in range(0, len(query_rows), BLOCK_ROWS):
        left = query_rows[first : first + BLOCK_ROWS]
        for start in range(first if oneself else 0, len(centred), BLOCK_ROWS):
            right = centred[start : start + BLOCK_ROWS]
            products = np.zeros((len(left), len(right)), np.float32)
            _add_products(left, right, products)

            def by_rows(
                part: slice, products: Any = products, first: Any = first, start: int = start
            ) -> None:
                _select_by_rows(
                    products[part], halves, first + part.start, start, oneself, scores, indices
                )

            def by_columns(
                part: slice, products: Any = products, first: Any = first, start: int = start
            ) -> None:
                _select_by_columns(
                    products, halves, start, first, part.start, part.stop, scores, indices
                )

            run_in_threads(by_rows, even_ranges(len(left), thread_count()))
            if oneself and start > first:
                run_in_threads(by_columns, even_ranges(len(right), thread_count(), 16))

    array, scales = _readable(given.array), read_only(given.scales)
    query_array = array if oneself else _readable(queries.array)
    query_scales = read_only(queries.scales)
    resolution = RESOLUTION if metric == "cosine" else 0.0
    squares = np.empty(indices.shape)
    parts = even_ranges(len(queries), 4 * thread_count())
    run_in_threads(
        lambda part: _rank(
            query_array[part],
            query_scales[part],
            array,
            scales,
            resolution,
            indices[part],
            squares[part],
        ),  # fmt: skip
        parts,
    )
    cutoffs = np.where(kept == len(given) - oneself, -np.inf, scores[:, -1].astype(np.float64))
    reaches = np.sqrt(squares[:, k - 1] + resolution)
    again = uncertified(query_norms, cutoffs, reaches, product_error(centred.shape[1]), floor)
    indices, squares = indices[:, :k].copy(), squares[:, :k].copy()

    def compare(i: Any) -> None:
        x = read_only(queries.block(slice(i, i + 1))[0])
        _compare_with_all(
            x, i if oneself else -1, array, scales, resolution, indices[i], squares[i]
        )

    run_in_threads(compare, np.flatnonzero(again))
    if metric == "cosine":
        return indices, 0.5 * squares
    return indices, np.ldexp(np.sqrt(squares), given.exponent)
