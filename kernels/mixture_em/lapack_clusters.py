"""For the CPU versions: k-means by BLAS, by blocks of samples and one read of Z a centre."""

import math

import numpy as np
from scipy import sparse

from . import LLOYD_ROUNDS, SHIFT_TOLERANCE
from .reference import farthest_samples

BLOCK_ELEMENTS = 1 << 21


def seeds(Z, norms, n_clusters, generator):
    """(K, p) rows of Z by greedy k-means++."""
    n = len(Z)
    chosen = [int(generator.choice(n, p=np.full(n, 1.0 / n)))]
    nearest = _distances(Z, norms, chosen)[0]
    for _ in range(1, n_clusters):
        draws = generator.uniform(size=2 + int(math.log(n_clusters))) * nearest.sum()
        candidates = np.minimum(np.searchsorted(np.cumsum(nearest), draws), n - 1)
        left = _distances(Z, norms, candidates)
        np.minimum(left, nearest, out=left)
        best = int(np.argmin(left.sum(axis=1)))
        chosen.append(int(candidates[best]))
        nearest = left[best]
    return Z[chosen]


def _distances(Z, norms, places):
    """(m, n) squared distances of a few rows from all."""
    distances = (-2.0 * Z[places]) @ Z.T
    distances += norms[places][:, None]
    distances += norms
    return np.maximum(distances, 0.0, out=distances)


def nearest_centres(Z, centres):
    """(n,) index of each row's nearest centre, the first of several."""
    doubled, norms = -2.0 * centres.T, np.einsum("kj,kj->k", centres, centres)
    labels = np.empty(len(Z), dtype=np.int64)
    step = max(1, BLOCK_ELEMENTS // len(centres))
    for start in range(0, len(Z), step):
        products = Z[start : start + step] @ doubled
        products += norms
        labels[start : start + step] = products.argmin(axis=1)
    return labels


def moved_centres(Z, labels, centres):
    """Means of the clusters; those without samples take the samples that lie farthest out."""
    n = len(Z)
    members = sparse.csr_array((np.ones(n), labels, np.arange(n + 1)), shape=(n, len(centres)))
    sums = members.T @ Z
    counts = np.bincount(labels, minlength=len(centres)).astype(np.float64)
    empty = np.flatnonzero(counts == 0.0)
    for cluster, sample in zip(
        empty, farthest_samples(Z, labels, centres, len(empty)), strict=False
    ):
        sums[labels[sample]] -= Z[sample]
        counts[labels[sample]] -= 1.0
        sums[cluster], counts[cluster] = Z[sample], 1.0
    found = sums / np.where(counts > 0.0, counts, 1.0)[:, None]
    found[counts <= 0.0] = found[np.argmax(counts)]
    return found


def kmeans(Z, n_clusters, seed):
    """See the contract in the package's docstring."""
    Z = Z - Z.mean(axis=0)
    norms = np.einsum("ij,ij->i", Z, Z)
    tolerance = SHIFT_TOLERANCE * Z.var(axis=0).mean()
    centres = seeds(Z, norms, n_clusters, np.random.RandomState(seed))
    labels = None
    for _ in range(LLOYD_ROUNDS):
        before, labels = labels, nearest_centres(Z, centres)
        if before is not None and np.array_equal(labels, before):
            return labels
        moved = moved_centres(Z, labels, centres)
        shift, centres = ((moved - centres) ** 2).sum(), moved
        if shift <= tolerance:
            break
    return nearest_centres(Z, centres)
