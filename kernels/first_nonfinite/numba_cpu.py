"""`first_nonfinite` by Numba: a test of the exponent bits, blocks of rows over the threads."""

from typing import Any

import numpy as np

from ..numba_runtime import kernel, ranges, read_only
from ..threads import run_in_threads, thread_count

BLOCK_ELEMENTS = 1 << 18
#: The unsigned type of each width, and the exponent bits that are all set in NaN and infinity.
BITS = {
    2: (np.uint16, np.uint16(0x7C00)),
    4: (np.uint32, np.uint32(0x7F80_0000)),
    8: (np.uint64, np.uint64(0x7FF0_0000_0000_0000)),
}


@kernel
def _first_with_all(values: np.ndarray, exponent: int) -> Any:
    """Index of the first value of a vector that has all the exponent's bits, or -1."""
    chunk = 1024
    for start in range(0, len(values), chunk):
        stop = min(start + chunk, len(values))
        found = 0
        for i in range(start, stop):
            found |= (values[i] & exponent) == exponent
        if found:
            for i in range(start, stop):
                if (values[i] & exponent) == exponent:
                    return i
    return -1


def first_nonfinite(X: np.ndarray) -> tuple[int, int] | None:
    """See the contract in the package's docstring."""
    n, d = X.shape
    bits, exponent = BITS[X.dtype.itemsize]

    def scan(rows: slice) -> tuple[int, int] | None:
        values = np.ascontiguousarray(X[rows]).reshape(-1).view(bits)
        found = _first_with_all(read_only(values), exponent)
        return None if found < 0 else (rows.start + found // d, found % d)

    blocks = ranges(n, max(1, BLOCK_ELEMENTS // d))
    for some in ranges(len(blocks), 64 * thread_count()):
        for place in run_in_threads(scan, blocks[some]):
            if place is not None:
                return place
    return None
