"""`fisher_scatter` by Numba and BLAS: blocks of rows are packed, then added to the Gram matrix.

One loop converts a block to float64, subtracts the shift, multiplies the roots of the weights in
and gathers the class sums; each thread has its own columns, so that nothing has to be reduced and
the bits do not depend on the number of threads.
"""

import numpy as np

from ..blas_blocks import add_gram
from ..numba_runtime import as_codes, as_vector, even_ranges, kernel, ranges, row_block
from ..threads import run_in_threads, thread_count
from . import FisherScatter, default_shift

BLOCK_ELEMENTS = 1 << 21
#: Columns a thread packs at least: their class sums and shift should stay in its cache.
SLAB_COLUMNS = 256


@kernel
def _pack(
    X: np.ndarray,
    codes: np.ndarray,
    shift: np.ndarray,
    first: int,
    last: int,
    packed: np.ndarray,
    sums: np.ndarray,
) -> None:
    for i in range(X.shape[0]):
        c = codes[i]
        for j in range(first, last):
            z = X[i, j] - shift[j]
            packed[i, j] = z
            sums[c, j] += z


@kernel
def _pack_weighted(
    X: np.ndarray,
    codes: np.ndarray,
    roots: np.ndarray,
    shift: np.ndarray,
    first: int,
    last: int,
    packed: np.ndarray,
    sums: np.ndarray,
    root_sums: np.ndarray,
) -> None:
    for i in range(X.shape[0]):
        c = codes[i]
        root = roots[i]
        for j in range(first, last):
            z = root * (X[i, j] - shift[j])
            packed[i, j] = z
            root_sums[c, j] += z
            sums[c, j] += root * z


def fisher_scatter(
    X: np.ndarray,
    codes: np.ndarray,
    n_classes: int,
    weights: np.ndarray | None = None,
    shift: np.ndarray | None = None,
) -> FisherScatter:
    """See the contract in the package's docstring."""
    n, d = X.shape
    codes = as_codes(codes)
    root_counts: np.ndarray
    shift = default_shift(X) if shift is None else np.array(shift, dtype=np.float64)
    counts = np.bincount(codes, weights, minlength=n_classes).astype(np.float64)
    sums = np.zeros((n_classes, d))
    gram = np.zeros((d, d))
    if weights is None:
        root_counts, root_sums = counts, sums
    else:
        roots = as_vector(np.sqrt(weights))
        root_counts = np.bincount(codes, roots, minlength=n_classes)
        root_sums = np.zeros((n_classes, d))

    block_rows = max(1, min(n, BLOCK_ELEMENTS // d))
    packed = np.empty((block_rows, d))
    slabs = even_ranges(d, max(thread_count(), d // SLAB_COLUMNS), multiple=8)
    for rows in ranges(n, block_rows):
        block = row_block(X, rows)
        target = packed[: len(block)]

        def pack(
            slab: slice, rows: slice = rows, block: np.ndarray = block, target: np.ndarray = target
        ) -> None:
            columns = slab.start, slab.stop
            if weights is None:
                _pack(block, codes[rows], shift, *columns, target, sums)
            else:
                _pack_weighted(
                    block, codes[rows], roots[rows], shift, *columns, target, sums, root_sums
                )

        run_in_threads(pack, slabs)
        add_gram(target, gram)
    return FisherScatter(shift, counts, sums, gram, root_counts, root_sums)
