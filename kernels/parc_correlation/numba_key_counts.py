"""For the Numba version: kernels that count keys into bins, a buffer, against a sorted list.

Most take a matrix of keys and, for each row, the range of columns that counts. The averaged rank of
a key among sorted ones is the number of those below it plus half the number equal to it.
"""

from typing import Any

import numpy as np

from ..numba_runtime import inlined_kernel, kernel

#: Sorted keys a look-up reads without asking how many its bucket holds; the list ends in as many
#: sentinels.
PROBES = 4
SENTINEL = np.iinfo(np.int64).max
MAX_BUCKETS = 1 << 25
#: Keys whose look-ups are in flight together.
CHUNK = 512


@kernel
def add_to_bins(
    keys: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    starts: np.ndarray,
    width_bits: int,
    bin_bits: int,
    counts: np.ndarray,
    weight: int,
) -> None:
    """Count keys in the intervals starts[h] + [0, 2^width_bits), each of 2^bin_bits bins."""
    shift = width_bits - bin_bits
    for i in range(keys.shape[0]):
        for j in range(first[i], last[i]):
            key = keys[i, j]
            low, high = 0, len(starts)
            while high - low > 1:
                middle = (low + high) >> 1
                if starts[middle] <= key:
                    low = middle
                else:
                    high = middle
            position = (key - starts[low]) >> shift
            if 0 <= position < counts.shape[1]:
                counts[low, position] += weight


@kernel
def gather(
    keys: np.ndarray, first: np.ndarray, last: np.ndarray, low: int, high: int, out: np.ndarray
) -> Any:
    """Write the keys in [low, high) to ``out``; their number."""
    n = 0
    for i in range(keys.shape[0]):
        for j in range(first[i], last[i]):
            out[n] = keys[i, j]
            n += low <= keys[i, j] < high
    return n


@kernel
def spread_out(
    keys: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    row: int,
    column: int,
    n: int,
    out: np.ndarray,
) -> None:
    """Write the key of every pair i < j of n rows to its place in row-major order."""
    for i in range(keys.shape[0]):
        start = (row + i) * n - (row + i) * (row + i + 1) // 2 - (row + i + 1) + column
        for j in range(first[i], last[i]):
            out[start + j] = keys[i, j]


@kernel
def _fill_table(sorted_keys: np.ndarray, n_keys: int, shift: int, table: np.ndarray) -> None:
    """table[b] = number of keys in the buckets below b."""
    bucket = 0
    for p in range(n_keys):
        here = (sorted_keys[p] - sorted_keys[0]) >> shift
        while bucket <= here:
            table[bucket] = p
            bucket += 1
    for b in range(bucket, len(table)):
        table[b] = n_keys


def bucket_table(sorted_keys: Any) -> Any:
    """Where buckets of equal width begin among the sorted keys, and log2 of their width."""
    n_keys = len(sorted_keys) - PROBES
    span = int(sorted_keys[n_keys - 1]) - int(sorted_keys[0])
    n_buckets = min(MAX_BUCKETS, 2 << n_keys.bit_length())
    shift = max(0, span.bit_length() - n_buckets.bit_length() + 1)
    # Two more: keys above the last bucket, and the end of that.
    table = np.empty((span >> shift) + 3, dtype=np.int32)
    _fill_table(sorted_keys, n_keys, shift, table)
    return table, shift


@inlined_kernel
def _bucket(key: int, sorted_keys: np.ndarray, table: np.ndarray, shift: int) -> Any:
    return min(max((key - sorted_keys[0]) >> shift, 0), len(table) - 2)


@inlined_kernel
def _twice_rank(key: int, sorted_keys: np.ndarray, begin: int, end: int) -> Any:
    """Number of sorted keys below ``key`` plus number not above it, given its bucket's ends."""
    if end - begin <= PROBES:
        twice = 2 * begin
        for p in range(begin, begin + PROBES):
            twice += (sorted_keys[p] < key) + (sorted_keys[p] <= key)
        return twice
    below, high = begin, end
    while below < high:
        middle = (below + high) >> 1
        if sorted_keys[middle] < key:
            below = middle + 1
        else:
            high = middle
    upto, high = below, end
    while upto < high:
        middle = (upto + high) >> 1
        if sorted_keys[middle] <= key:
            upto = middle + 1
        else:
            high = middle
    return below + upto


@kernel
def _twice_rank_sum(
    keys: np.ndarray,
    sorted_keys: np.ndarray,
    table: np.ndarray,
    shift: int,
    bins_start: int,
    bin_shift: int,
    bins: np.ndarray,
) -> Any:
    """Sum over a vector of keys of twice their averaged rank among the sorted ones; counts them."""
    begins, ends = np.empty(CHUNK, np.int64), np.empty(CHUNK, np.int64)
    total = 0
    for start in range(0, len(keys), CHUNK):
        stop = min(start + CHUNK, len(keys))
        # All look-ups of a chunk before the first comparison: so they wait together, not in turn.
        for p in range(start, stop):
            bucket = _bucket(keys[p], sorted_keys, table, shift)
            begins[p - start], ends[p - start] = table[bucket], table[bucket + 1]
            bins[(keys[p] - bins_start) >> bin_shift] += 1
        for p in range(start, stop):
            total += _twice_rank(keys[p], sorted_keys, begins[p - start], ends[p - start])
    return total


@kernel
def rank_by_partition(
    keys: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    low: int,
    high: int,
    sorted_keys: np.ndarray,
    table: np.ndarray,
    shift: int,
    bins_start: int,
    bin_shift: int,
    partition_shift: int,
    buffers: np.ndarray,
    filled: np.ndarray,
    bins: np.ndarray,
) -> Any:
    """Distribute the keys in [low, high) over buffers by their leading bits; rank what fills up.

    A full buffer meets a part of the sorted keys, and of the bins that count all keys, that fits in
    the cache.

    Returns
    -------
    twice : int
        Sum of twice the averaged rank, among the sorted keys, of the keys of the buffers emptied.
    n : int
        Number of keys distributed.
    """
    total, n = 0, 0
    for i in range(keys.shape[0]):
        for j in range(first[i], last[i]):
            key = keys[i, j]
            if low <= key < high:
                n += 1
                partition = _bucket(key, sorted_keys, table, shift) >> partition_shift
                place = filled[partition]
                buffers[partition, place] = key
                filled[partition] = place + 1
                if place + 1 == buffers.shape[1]:
                    total += _twice_rank_sum(
                        buffers[partition], sorted_keys, table, shift, bins_start, bin_shift, bins
                    )
                    filled[partition] = 0
    return total, n


@kernel
def rank_rest(
    sorted_keys: np.ndarray,
    table: np.ndarray,
    shift: int,
    bins_start: int,
    bin_shift: int,
    buffers: np.ndarray,
    filled: np.ndarray,
    bins: np.ndarray,
) -> Any:
    """Empty all buffers of `rank_by_partition`: the sum of twice the averaged ranks."""
    total = 0
    for partition in range(len(filled)):
        rest = buffers[partition, : filled[partition]]
        total += _twice_rank_sum(rest, sorted_keys, table, shift, bins_start, bin_shift, bins)
    return total


@kernel
def to_twice_ranks(
    keys: np.ndarray, sorted_keys: np.ndarray, table: np.ndarray, shift: int
) -> None:
    """Replace each key of a vector by twice its averaged rank among the sorted ones."""
    for p in range(len(keys)):
        bucket = _bucket(keys[p], sorted_keys, table, shift)
        keys[p] = _twice_rank(keys[p], sorted_keys, table[bucket], table[bucket + 1])
