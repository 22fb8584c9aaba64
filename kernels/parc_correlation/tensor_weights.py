"""For the GPU versions: Spearman's correlation of two distances of the same pairs.

Ranks of the label distances weight the pairs.

A weight is twice the averaged rank of a pair's label distance, less its mean: an integer. The sums
of the weights in bins of the feature distance are integers too.
"""

import math
from typing import Any

import torch

from ..array_namespace import Array
from .tensor_ranks import binned_deviations, deepest_bins
from .tensor_rows import UnitRows, all_keys, distance_keys

#: Sums of weights are kept in two parts, the lower of so many bits.
LOW_BITS = 20


def tie_groups(keys: Array) -> Any:
    """Group of each key, numbered in ascending order of the keys, and the size of each group."""
    sorted_keys, order = torch.sort(keys)
    groups = torch.cumsum(torch.diff(sorted_keys, prepend=sorted_keys[:1]) != 0, dim=0)
    return torch.empty_like(groups).scatter_(0, order, groups), torch.bincount(groups)


def sorted_correlation(rows: UnitRows, labels: Any, tile: int) -> Any:
    """The exact coefficient; the keys of all pairs are kept."""
    ranks = []
    for each in rows, labels:
        groups, sizes = tie_groups(all_keys(each, tile))
        ranks.append(binned_deviations(sizes)[groups].to(torch.float64))
    first, second = ranks
    sums = torch.stack([(first * second).sum(), first.square().sum(), second.square().sum()])
    return cosine(*sums.tolist())


def cosine(product: Any, squares: Array, other_squares: Any) -> Any:
    """NaN where a side is constant."""
    if not (squares > 0 and other_squares > 0):
        return math.nan
    return product / (math.sqrt(squares) * math.sqrt(other_squares))


class KindWeights:
    """Weights of pairs by the kinds of their rows, where few label vectors are distinct.

    Parameters
    ----------
    vectors : (kinds, k) float64 tensor
        The distinct label vectors.
    kinds : (n,) int64 tensor
        Which of them each row has.
    """

    def __init__(self, vectors: Any, kinds: Any) -> None:
        self._kinds = kinds
        n_kinds = len(vectors)
        order = torch.arange(n_kinds, device=vectors.device)
        unit = UnitRows(vectors, order, standardise=False).at(order)
        i, j = torch.triu_indices(n_kinds, n_kinds, device=vectors.device).unbind(0)
        rows = torch.bincount(kinds, minlength=n_kinds)
        pairs = torch.where(i == j, rows[i] * (rows[i] - 1) // 2, rows[i] * rows[j])
        groups, sizes = tie_groups(distance_keys(unit @ unit.T)[i, j])
        sizes = torch.zeros_like(sizes).index_add_(0, groups, pairs)
        weights = binned_deviations(sizes)
        self._table = torch.empty(n_kinds, n_kinds, dtype=torch.int64, device=vectors.device)
        self._table[i, j] = self._table[j, i] = weights[groups]
        #: Sum over all pairs of the squared weights.
        self.squares = (sizes * weights.to(torch.float64).square()).sum().item()

    def of_pairs(self, i: Any, j: Any) -> Any:
        """Weights of the pairs of positions i and j, as a matrix."""
        return self._table[self._kinds[i][:, None], self._kinds[j]]


class BinnedWeights:
    """Weights of pairs by the bins of their label distances.

    Parameters
    ----------
    labels : UnitRows
    level : FirstLevel
    counts : int64 tensor
        Pairs in each bin.
    """

    def __init__(self, labels: Any, level: Any, counts: Any) -> None:
        self._labels, self._level = labels, level
        self._weights = binned_deviations(counts)
        #: Sum over all pairs of the squared weights.
        self.squares = (counts * self._weights.to(torch.float64).square()).sum().item()

    def of_pairs(self, i: Any, j: Any) -> Any:
        """Weights of the pairs of positions i and j, as a matrix."""
        keys = distance_keys(self._labels.at(i) @ self._labels.at(j).T)
        return self._weights[self._level.bins_of(keys)]


def weighted_correlation(rows: UnitRows, level: Any, weights: Array, n_bins: Any, tile: int) -> Any:
    """Coefficient of the feature distances in the bins of the level with the weights."""
    sums = torch.zeros(3, n_bins + 1, dtype=torch.int64, device=rows.device)
    one = torch.ones(1, dtype=torch.int64, device=rows.device)
    for i, j, keys, wanted in rows.tiles(tile):
        bins = torch.where(wanted, deepest_bins([level], keys), n_bins).flatten()
        weight = weights.of_pairs(i, j).flatten()
        sums[0].scatter_add_(0, bins, one.expand(len(bins)))
        sums[1].scatter_add_(0, bins, weight >> LOW_BITS)
        sums[2].scatter_add_(0, bins, weight & ((1 << LOW_BITS) - 1))
    counts, high, low = sums[:, :-1]
    ranks = binned_deviations(counts).to(torch.float64)
    product = (ranks * (high.to(torch.float64) * 2.0**LOW_BITS + low)).sum()
    return cosine(product.item(), (counts * ranks.square()).sum().item(), weights.squares)
