"""`parc_correlation` in plain PyTorch on the features' device: keys tile by tile, counted in bins.

Few pairs are sorted outright. Of more the keys are counted, see `tensor_ranks`; memory is that of
the counts, a tile of keys and the unit rows, whatever the number of pairs.

Label vectors: beyond `SORT_LIMIT` pairs, feature distances are in bins of one level, which costs
some 1e-10, and label distances are exact up to `KINDS_LIMIT` distinct vectors, else binned alike.
"""

import math
from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_doubles, as_features, on_device_of
from . import TOLERANCE, tensor_weights
from .tensor_ranks import (
    BINS,
    N_CELLS,
    binned_correlation,
    deepest_bins,
    fitted_level,
    sorted_correlation,
    uniform_level,
)
from .tensor_rows import KEPT_BYTES, UnitRows, all_keys, key_tiles

#: Up to so many pairs are sorted outright, some 100 bytes of memory each.
SORT_LIMIT = 1 << 22
KINDS_LIMIT = 2048
#: Rows and columns of a tile of keys.
TILE = 2048
#: The sample that bins are fitted to: the pairs of so many runs of so many rows.
SAMPLE_RUNS = 32
SAMPLE_RUN = 128


class KeyCounter:
    """Counts the keys of all pairs, by class, in the bins of a level.

    Parameters
    ----------
    rows : UnitRows
    codes : (n,) int64 tensor
        Class at each position.
    bins : int
    """

    #: Of the rows and columns of the matrices that `UnitRows` gives out.
    MULTIPLES = 1, 1

    def __init__(self, rows: UnitRows, codes: Array, bins: int) -> None:
        self._rows, self._codes, self._bins = rows, codes, bins

    def _sampled(self) -> Any:
        return self._rows.sample(SAMPLE_RUNS, SAMPLE_RUN)

    def sample(self) -> Any:
        """(2, N_CELLS) counts in cells of the pairs of a few rows."""
        positions = self._sampled()
        rows = self._rows.at(positions)
        tiles = key_tiles(0, rows, 0, rows, len(positions), TILE)
        return _count(tiles, self._codes[positions], [uniform_level(rows.device)], N_CELLS)

    def __call__(self, levels: Any) -> Any:
        """(2, bins) counts of pairs of different and of the same class."""
        return _count(self._rows.tiles(TILE), self._codes, levels, self._bins)


def _count(tiles: Any, codes: Array, levels: Any, n_bins: Any) -> Any:
    counts = torch.zeros(2 * n_bins + 1, dtype=torch.int64, device=codes.device)
    one = torch.ones(1, dtype=torch.int64, device=codes.device)
    for i, j, keys, wanted in tiles:
        bins = deepest_bins(levels, keys)
        slots = torch.where(codes[i][:, None] == codes[j], bins + n_bins, bins)
        slots = torch.where(wanted & (bins >= 0), slots, 2 * n_bins).flatten()
        counts.scatter_add_(0, slots, one.expand(len(slots)))
    return counts[:-1].view(2, n_bins)


def by_class(codes: Array) -> Any:
    """Positions in the order of the classes, and the numbers of pairs of the same class and not."""
    n = len(codes)
    sizes = torch.bincount(codes)
    n_same = int((sizes * (sizes - 1) // 2).sum())
    return torch.argsort(codes, stable=True), n_same, n * (n - 1) // 2 - n_same


def bounded_correlation(
    X: Array,
    codes: Array,
    sort_limit: Any = SORT_LIMIT,
    bins: int = BINS,
    tolerance: float = TOLERANCE,
    kept_bytes: Any = KEPT_BYTES,
    counter: Any = KeyCounter,
) -> Any:
    """The coefficient and the estimated error of binning, 0 where pairs are sorted."""
    X = as_features(X)
    codes = as_codes(codes, X)
    with on_device_of(X):
        order, n_same, n_different = by_class(codes)
        if n_same == 0 or n_different == 0:
            return math.nan, 0.0
        rows = UnitRows(X, order, multiples=counter.MULTIPLES, kept_bytes=kept_bytes)
        codes = codes[order]
        if n_same + n_different <= sort_limit:
            i, j = torch.triu_indices(len(codes), len(codes), 1, device=X.device).unbind(0)
            keys, same = all_keys(rows, TILE), codes[i] == codes[j]
            return sorted_correlation(keys, same, n_same, n_different), 0.0
        count = counter(rows, codes, bins)
        level = fitted_level(count.sample(), bins)
        return binned_correlation(count, level, n_same, n_different, bins, tolerance)


def parc_correlation(X: Array, codes: Array) -> float:
    """See the contract in the package's docstring."""
    return bounded_correlation(X, codes)[0]


def parc_correlation_vectors(
    X: Array,
    Y: Array,
    sort_limit: Any = SORT_LIMIT,
    kinds_limit: Any = KINDS_LIMIT,
    bins: int = BINS,
    kept_bytes: Any = KEPT_BYTES,
) -> float:
    """See the contract in the package's docstring."""
    X = as_features(X)
    Y = as_doubles(Y, X)
    n = len(X)
    if n < 2:
        return math.nan
    with on_device_of(X):
        order = torch.arange(n, device=X.device)
        rows = UnitRows(X, order, kept_bytes=kept_bytes)
        labels = UnitRows(Y, order, standardise=False, kept_bytes=kept_bytes)
        if n * (n - 1) // 2 <= sort_limit:
            return tensor_weights.sorted_correlation(rows, labels, TILE)
        vectors, kinds = torch.unique(Y, dim=0, return_inverse=True)
        weights: tensor_weights.KindWeights | tensor_weights.BinnedWeights
        if len(vectors) <= kinds_limit:
            weights = tensor_weights.KindWeights(vectors, kinds)
        else:
            level, counter = _fitted_to_all(labels, bins)
            weights = tensor_weights.BinnedWeights(labels, level, counter([level])[1])
        level, _ = _fitted_to_all(rows, bins)
        return tensor_weights.weighted_correlation(rows, level, weights, bins, TILE)


def _fitted_to_all(rows: UnitRows, bins: int) -> Any:
    """Bins that follow all pairs alike, and their counter."""
    one_class = torch.zeros(rows.n_rows, dtype=torch.int64, device=rows.device)
    counter = KeyCounter(rows, one_class, bins)
    sampled = counter.sample()[1]
    return fitted_level(torch.stack([sampled, sampled]), bins), counter
