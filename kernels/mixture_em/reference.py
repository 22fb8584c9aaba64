"""Definition of `mixture_em` in NumPy float64, responsibilities dense."""

import math

import numpy as np
from scipy.special import logsumexp

from . import LLOYD_ROUNDS, NEGLIGIBLE, SHIFT_TOLERANCE, Responsibilities, singular_component


def squared_distances(left, right):
    """(m, n) squared Euclidean distances of rows, without negative ones."""
    products = -2.0 * (left @ right.T)
    products += (left * left).sum(axis=1)[:, None]
    products += (right * right).sum(axis=1)
    return np.maximum(products, 0.0)


def seeds(Z, n_clusters, generator):
    """(K, p) rows of Z by greedy k-means++."""
    n = len(Z)
    chosen = [generator.choice(n, p=np.full(n, 1.0 / n))]
    nearest = squared_distances(Z[chosen], Z)[0]
    for _ in range(1, n_clusters):
        draws = generator.uniform(size=2 + int(math.log(n_clusters))) * nearest.sum()
        candidates = np.minimum(np.searchsorted(np.cumsum(nearest), draws), n - 1)
        left = np.minimum(nearest, squared_distances(Z[candidates], Z))
        best = int(np.argmin(left.sum(axis=1)))
        chosen.append(candidates[best])
        nearest = left[best]
    return Z[chosen]


def nearest_centres(Z, centres):
    """(n,) index of each row's nearest centre, the first of several."""
    products = -2.0 * (Z @ centres.T)
    return np.argmin(products + (centres * centres).sum(axis=1), axis=1)


def farthest_samples(Z, labels, centres, count):
    """Indices of the samples that lie farthest from their centres; none where all lie on them."""
    if not count:
        return []
    distances = ((Z - centres[labels]) ** 2).sum(axis=1)
    return np.argpartition(distances, -count)[: -count - 1 : -1] if distances.max() > 0.0 else []


def moved_centres(Z, labels, centres):
    """Means of the clusters; those without samples take the samples that lie farthest out."""
    sums = np.zeros_like(centres)
    np.add.at(sums, labels, Z)
    counts = np.bincount(labels, minlength=len(centres)).astype(np.float64)
    empty = np.flatnonzero(counts == 0.0)
    taken = farthest_samples(Z, labels, centres, len(empty))
    for cluster, sample in zip(empty, taken, strict=False):
        sums[labels[sample]] -= Z[sample]
        counts[labels[sample]] -= 1.0
        sums[cluster], counts[cluster] = Z[sample], 1.0
    found = sums / np.where(counts > 0.0, counts, 1.0)[:, None]
    found[counts <= 0.0] = found[np.argmax(counts)]
    return found


def kmeans(Z, n_clusters, seed):
    """See the contract in the package's docstring."""
    Z = Z - Z.mean(axis=0)
    tolerance = SHIFT_TOLERANCE * Z.var(axis=0).mean()
    centres = seeds(Z, n_clusters, np.random.RandomState(seed))
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


def _parameters(Z, weights, reg):
    """Shares, means and the inverses of the covariances' Cholesky factors."""
    sizes = weights.sum(axis=0) + 10.0 * np.finfo(np.float64).eps
    means = weights.T @ Z / sizes[:, None]
    whitening = []
    for k, mean in enumerate(means):
        residuals = Z - mean
        covariance = (weights[:, k] * residuals.T) @ residuals / sizes[k]
        covariance[np.diag_indices_from(covariance)] += reg
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            raise singular_component(k, reg) from None
        whitening.append(np.linalg.inv(factor).T)
    return sizes / sizes.sum(), means, whitening


def _expectation(Z, shares, means, whitening):
    """(n, K) responsibilities, and the mean logarithm of the density."""
    logs = np.empty((len(Z), len(shares)))
    for k, white in enumerate(whitening):
        squares = (((Z - means[k]) @ white) ** 2).sum(axis=1)
        logs[:, k] = np.log(shares[k]) + np.log(np.diag(white)).sum() - 0.5 * squares
    logs -= 0.5 * Z.shape[1] * math.log(2.0 * math.pi)
    densities = logsumexp(logs, axis=1)
    return np.exp(logs - densities[:, None]), float(densities.mean())


def gaussian_mixture(Z, labels, n_components, reg=1e-6, tol=1e-3, max_iter=100):
    """See the contract in the package's docstring."""
    parameters = _parameters(Z, np.eye(n_components)[labels], reg)
    level = -math.inf
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        before = level
        weights, level = _expectation(Z, *parameters)
        parameters = _parameters(Z, weights, reg)
        if abs(level - before) < tol:
            break
    weights, level = _expectation(Z, *parameters)
    kept = weights > math.exp(-NEGLIGIBLE) * weights.max(axis=1, keepdims=True)
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return Responsibilities(indptr, np.nonzero(kept)[1], weights[kept], level, n_iter)
