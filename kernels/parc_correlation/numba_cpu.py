"""`parc_correlation` by BLAS and Numba: pairs are ranked tile by tile, none is kept.

With class labels the coefficient follows from the Mann-Whitney count of same-class against
different-class pairs and from the sizes of the groups of tied pairs. The rarer kind of pair is
sorted, in slices of the key range that fit in a buffer; a look-up ranks every pair of the other
kind. Ties are bounded through a histogram, whose bins are split, by further passes, until what they
may add is negligible: at once in general.
"""

import threading
from typing import Any

import numpy as np

from ..array_namespace import Array
from ..numba_runtime import ranges
from ..threads import run_in_threads, thread_count
from . import TOLERANCE
from .numba_key_counts import (
    CHUNK,
    PROBES,
    SENTINEL,
    add_to_bins,
    bucket_table,
    gather,
    rank_by_partition,
    rank_rest,
    spread_out,
    to_twice_ranks,
)
from .numba_pair_keys import BAND_ROWS, KEY_BITS, KEY_START, TILE_COLUMNS, PairKeys

#: Up to so many pairs are sorted outright to find the ties.
EXACT_TIES_PAIRS = 1 << 22
WHOLE_RANGE = KEY_START, KEY_START + (1 << KEY_BITS)
#: Keys sorted at a time.
SLICE_KEYS = 40_000_000
#: Bins of the histograms together.
TOTAL_BIN_BITS = 20
#: Buckets of sorted keys that a partition has at least, log2, and most partitions: a partition's
#: sorted keys and buckets should fit in a core's second-level cache.
PARTITION_BUCKET_BITS = 14
MAX_PARTITIONS = 2048
#: Keys that a partition collects at most before they are ranked, and those of all together.
BUFFER_KEYS = 1 << 15
TOTAL_BUFFER_KEYS = 1 << 26
#: Pairs of which `parc_correlation_vectors` can keep the ranks, 28 bytes each.
MAX_VECTOR_PAIRS = 1 << 28


def parc_correlation(X: Array, codes: np.ndarray) -> float | None:
    """See the contract in the package's docstring."""
    order = np.argsort(codes, kind="stable")
    sorted_codes = np.asarray(codes)[order]
    n = len(order)
    class_end = np.searchsorted(sorted_codes, sorted_codes, side="right")
    same = np.arange(1, n + 1), class_end
    different = class_end, np.full(n, n)
    n_same, n_different = _n_pairs(same), _n_pairs(different)
    if n_same == 0 or n_different == 0:
        return float("nan")

    pairs = PairKeys(X, order)
    if n_same <= n_different:
        above, tie_sum = _rank_against(pairs, same, different)
    else:
        above, tie_sum = _rank_against(pairs, different, same)
        above = 2 * n_same * n_different - above
    n_pairs = n_same + n_different
    rank_variance = float(n_pairs) ** 3 - float(n_pairs) - tie_sum
    if rank_variance <= 0.0:
        return float("nan")
    # `above` is twice the Mann-Whitney count; integers, so that nothing cancels.
    covariance = (above - n_same * n_different) / 2
    return covariance / np.sqrt(rank_variance / 12.0 * (n_same / n_pairs) * n_different)


def _n_pairs(columns: tuple[np.ndarray, np.ndarray]) -> int:
    first, last = columns
    return int((last - first).sum())


class _Bins:
    """Histogram of keys in intervals of equal width, each split into bins; a copy per worker."""

    def __init__(
        self, starts: np.ndarray | tuple[int] = (KEY_START,), width_bits: int = KEY_BITS
    ) -> None:
        self._starts = np.asarray(starts, dtype=np.int64)
        self._width_bits = width_bits
        room = TOTAL_BIN_BITS - (len(self._starts) - 1).bit_length()
        self._bin_bits = min(width_bits, max(1, room))
        #: log2 of the width of a bin.
        self.shift = width_bits - self._bin_bits
        shape = (thread_count(), len(self._starts), 1 << self._bin_bits)
        self._counts = np.zeros(shape, dtype=np.int64)

    def add(
        self,
        worker: int,
        keys: Any,
        first: np.ndarray,
        last: Any,
        origin: Any = None,
        weight: int = 1,
    ) -> None:
        counts = self._counts[worker]
        bins = self._starts, self._width_bits, self._bin_bits
        add_to_bins(keys, first, last, *bins, counts, weight)

    def add_list(self, keys: Any, weight: Any) -> None:
        ends = np.array([0]), np.array([len(keys)])
        self.add(0, keys[None], *ends, weight=weight)

    def of_worker(self, worker: int) -> Any:
        """The bins of a worker, where there is but one interval."""
        return self._counts[worker, 0]

    def filled(self) -> Any:
        """First key and number of pairs of every bin that holds any, in ascending order."""
        counts = self._counts.sum(axis=0)
        interval, position = np.nonzero(counts)
        return self._starts[interval] + (position << self.shift), counts[interval, position]

    def split(self, starts: np.ndarray) -> Any:
        """An empty histogram that splits the bins with these first keys."""
        return _Bins(starts, self.shift)


def _rank_against(
    pairs: PairKeys, few: tuple[np.ndarray, np.ndarray], many: tuple[np.ndarray, np.ndarray]
) -> Any:
    """Twice the sum of the averaged ranks of ``many`` pairs among ``few``, and the ties' t^3 - t.

    Both are column ranges, as `PairKeys.visit` takes them.
    """
    bins = _Bins()
    twice, n_below = 0, 0
    for low, high, first_key, n_keys in _slices(pairs, few):
        sorted_keys, repeats = _sorted_keys(pairs, few, low, high, first_key, n_keys)
        bins.add_list(sorted_keys[:-PROBES], repeats)
        total, n_ranked = _rank_in_slice(pairs, many, low, high, sorted_keys, bins)
        twice += repeats * total + 2 * n_below * n_ranked
        n_below += n_keys
    return twice, _tie_sum(pairs, bins)


def _rank_in_slice(
    pairs: PairKeys,
    columns: tuple[np.ndarray, np.ndarray],
    low: int,
    high: int,
    sorted_keys: Any,
    bins: _Bins,
) -> Any:
    """Twice the sum of averaged ranks of the keys in [low, high), their number; binned as well."""
    table, shift = bucket_table(sorted_keys)
    n_threads = thread_count()
    partition_shift = max((len(table) // MAX_PARTITIONS).bit_length(), PARTITION_BUCKET_BITS)
    n_partitions = (len(table) >> partition_shift) + 1
    capacity = max(CHUNK, min(BUFFER_KEYS, TOTAL_BUFFER_KEYS // (n_threads * n_partitions)))
    buffers = np.empty((n_threads, n_partitions, capacity), dtype=np.int64)
    filled = np.zeros((n_threads, n_partitions), dtype=np.int64)
    sums, numbers = [0] * n_threads, [0] * n_threads
    lists = sorted_keys, table, shift, KEY_START, bins.shift

    def rank(worker: int, keys: Any, first: np.ndarray, last: Any, origin: Any) -> None:
        own = buffers[worker], filled[worker], bins.of_worker(worker)
        total, n = rank_by_partition(keys, first, last, low, high, *lists, partition_shift, *own)
        sums[worker] += total
        numbers[worker] += n

    def rank_remaining(worker: int) -> Any:
        own = buffers[worker], filled[worker], bins.of_worker(worker)
        return rank_rest(*lists, *own)

    pairs.visit(*columns, rank)
    return sum(sums) + sum(run_in_threads(rank_remaining, range(n_threads))), sum(numbers)


def _slices(pairs: PairKeys, few: tuple[np.ndarray, np.ndarray]) -> list[tuple[int, int, int, int]]:
    """Ranges of keys [low, high) that cover all, each with at most `SLICE_KEYS` pairs or one key.

    Also the first key and the number of pairs in each; where that is above `SLICE_KEYS`, all of
    them have this first key.
    """
    n_pairs = _n_pairs(few)
    if n_pairs <= SLICE_KEYS:
        return [(*WHOLE_RANGE, KEY_START, n_pairs)]
    starts, counts = _bins_of_at_most(SLICE_KEYS, pairs, few)
    totals = np.cumsum(counts)
    slices, low = [], KEY_START
    first = 0
    while first < len(starts):
        before = int(totals[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(totals, before + SLICE_KEYS, side="right")))
        high = int(starts[last]) if last < len(starts) else WHOLE_RANGE[1]
        slices.append((low, high, int(starts[first]), int(totals[last - 1]) - before))
        low, first = high, last
    return slices


def _bins_of_at_most(
    most: int, pairs: PairKeys, columns: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """First keys and counts of bins that hold no more than ``most`` pairs or a single key."""
    bins, starts, counts = _Bins(), [], []
    while True:
        pairs.visit(*columns, bins.add)
        bin_starts, bin_counts = bins.filled()
        split = (bin_counts > most) & (bins.shift > 0)
        starts.append(bin_starts[~split])
        counts.append(bin_counts[~split])
        if not split.any():
            break
        bins = bins.split(bin_starts[split])
    all_starts = np.concatenate(starts)
    order = np.argsort(all_starts)
    return all_starts[order], np.concatenate(counts)[order]


def _sorted_keys(
    pairs: PairKeys,
    columns: tuple[np.ndarray, np.ndarray],
    low: int,
    high: int,
    first_key: int,
    n_keys: int,
) -> Any:
    """The keys in [low, high), sorted, and sentinels; how often each of them counts."""
    n_sorted, repeats = (n_keys, 1) if n_keys <= SLICE_KEYS else (1, n_keys)
    sorted_keys = np.full(n_sorted + PROBES, SENTINEL)
    if n_keys > SLICE_KEYS:
        sorted_keys[0] = first_key
        return sorted_keys, repeats
    buffers = np.empty((thread_count(), BAND_ROWS * TILE_COLUMNS), dtype=np.int64)
    lock = threading.Lock()
    filled = 0

    def collect(
        worker: int, keys: np.ndarray, first: np.ndarray, last: np.ndarray, origin: tuple[int, int]
    ) -> None:
        nonlocal filled
        n = gather(keys, first, last, low, high, buffers[worker])
        with lock:
            start = filled
            filled += n
        sorted_keys[start : start + n] = buffers[worker, :n]

    pairs.visit(*columns, collect)
    sorted_keys[:n_sorted].sort()
    return sorted_keys, repeats


def _tie_sum(pairs: PairKeys, bins: _Bins) -> Any:
    """Sum of t^3 - t over the groups of t pairs with equal keys; ``bins`` hold all pairs."""
    everything = np.arange(1, pairs.n_rows + 1), np.full(pairs.n_rows, pairs.n_rows)
    n_pairs = float(_n_pairs(everything))
    if n_pairs <= EXACT_TIES_PAIRS:
        keys, _ = _sorted_keys(pairs, everything, *WHOLE_RANGE, KEY_START, int(n_pairs))
        ends = np.flatnonzero(np.diff(keys[:-PROBES], prepend=KEY_START - 1, append=SENTINEL))
        groups = np.diff(ends).astype(np.float64)
        return (groups**3 - groups).sum()
    while True:
        starts, counts = bins.filled()
        # What each bin adds if all its pairs are tied.
        most = counts.astype(np.float64) ** 3 - counts
        if bins.shift == 0:
            return most.sum()
        ascending = np.argsort(most)
        totals = np.cumsum(most[ascending])
        # Relative error of the rank variance in a pass: half of that in the coefficient.
        allowance = TOLERANCE * (n_pairs**3 - n_pairs - totals[-1])
        undecided = ascending[np.searchsorted(totals, allowance, side="right") :]
        if not len(undecided):
            return 0.0
        bins = bins.split(np.sort(starts[undecided]))
        pairs.visit(*everything, bins.add)


def parc_correlation_vectors(X: Array, Y: np.ndarray) -> float:
    """See the contract in the package's docstring. Here it keeps the ranks of all pairs.

    Raises
    ------
    ValueError
        If there are more than `MAX_VECTOR_PAIRS` pairs.
    """
    n = len(X)
    if n * (n - 1) // 2 > MAX_VECTOR_PAIRS:
        raise ValueError(
            f"X has {n} rows; the Numba version of parc_correlation_vectors keeps the rank of "
            f"every pair and takes at most {int(np.sqrt(2 * MAX_VECTOR_PAIRS))} rows: draw a sample"
        )
    if n < 2:
        return float("nan")
    order = np.arange(n)
    x = _all_ranks(PairKeys(X, order))
    y = _all_ranks(PairKeys(Y, order, standardise=False))
    blocks = ranges(len(x), 1 << 16)

    def products(block: np.ndarray) -> Any:
        # Ranks less their mean, twice: integers.
        first = x[block].astype(np.float64) - len(x)
        second = y[block].astype(np.float64) - len(x)
        return first @ second, first @ first, second @ second

    sums = np.sum(run_in_threads(products, blocks), axis=0)
    scale = np.sqrt(sums[1] * sums[2])
    return float(sums[0] / scale) if scale > 0 else float("nan")


def _all_ranks(pairs: PairKeys) -> Any:
    """Twice the averaged rank (from 0) of every pair i < j in row-major order."""
    n = pairs.n_rows
    ranks = np.empty(n * (n - 1) // 2, dtype=np.int64)

    def place(worker: int, keys: Any, first: np.ndarray, last: Any, origin: Any) -> None:
        spread_out(keys, first, last, *origin, n, ranks)

    pairs.visit(np.arange(1, n + 1), np.full(n, n), place)
    sorted_keys = np.full(len(ranks) + PROBES, SENTINEL)
    sorted_keys[: len(ranks)] = ranks
    sorted_keys[: len(ranks)].sort()
    table, shift = bucket_table(sorted_keys)
    run_in_threads(
        lambda part: to_twice_ranks(ranks[part], sorted_keys, table, shift),
        ranges(len(ranks), 1 << 16),
    )
    return ranks
