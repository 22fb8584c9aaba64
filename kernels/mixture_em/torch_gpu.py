"""`mixture_em` by PyTorch: draws on the host, distances and components on the device."""

import math
from typing import Any

import numpy as np
import torch

from ..array_namespace import Array
from ..torch_runtime import as_codes, as_tensor
from . import LLOYD_ROUNDS, NEGLIGIBLE, SHIFT_TOLERANCE, Responsibilities, singular_component
from .reference import farthest_samples


def _squared_distances(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    products = -2.0 * (left @ right.T)
    products += (left * left).sum(dim=1)[:, None]
    products += (right * right).sum(dim=1)
    return products.clamp_(min=0.0)


def _seeds(Z: Any, n_clusters: Any, generator: Any) -> Any:
    """(K, p) rows of Z by greedy k-means++."""
    n = len(Z)
    chosen = [int(generator.choice(n, p=np.full(n, 1.0 / n)))]
    nearest = _squared_distances(Z[chosen], Z)[0]
    for _ in range(1, n_clusters):
        draws = generator.uniform(size=2 + int(math.log(n_clusters))) * float(nearest.sum())
        places = torch.as_tensor(draws, device=Z.device)
        candidates = torch.searchsorted(nearest.cumsum(0), places).clamp_(max=n - 1)
        left = torch.minimum(nearest, _squared_distances(Z[candidates], Z))
        best = int(left.sum(dim=1).argmin())
        chosen.append(int(candidates[best]))
        nearest = left[best]
    return Z[chosen]


def _nearest_centres(Z: Any, centres: Any) -> Any:
    return ((Z @ (-2.0 * centres.T)) + (centres * centres).sum(dim=1)).argmin(dim=1)


def _moved_centres(Z: Any, labels: Any, centres: Any) -> Any:
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels, minlength=len(centres))
    sums = torch.segment_reduce(Z[order], "sum", lengths=counts, axis=0)
    counts = counts.double()
    empty = torch.nonzero(counts == 0.0)[:, 0].tolist()
    if empty:  # few: on the host, in the order of NumPy's partition
        host = Z.cpu().numpy(), labels.cpu().numpy(), centres.cpu().numpy()
        for cluster, sample in zip(empty, farthest_samples(*host, len(empty)), strict=False):
            old = int(host[1][sample])
            sums[old] -= Z[sample]
            counts[old] -= 1.0
            sums[cluster], counts[cluster] = Z[sample], 1.0
    found = sums / counts.clamp(min=1.0)[:, None]
    found[counts <= 0.0] = found[counts.argmax()].clone()
    return found


def kmeans(Z: Any, n_clusters: Any, seed: Any) -> Array:
    """See the contract in the package's docstring."""
    Z = as_tensor(Z, dtype=torch.float64)
    Z = Z - Z.mean(dim=0)
    tolerance = SHIFT_TOLERANCE * float(Z.var(dim=0, unbiased=False).mean())
    centres = _seeds(Z, n_clusters, np.random.RandomState(seed))
    labels = None
    for _ in range(LLOYD_ROUNDS):
        before, labels = labels, _nearest_centres(Z, centres)
        if before is not None and torch.equal(labels, before):
            return labels
        moved = _moved_centres(Z, labels, centres)
        shift, centres = float(((moved - centres) ** 2).sum()), moved
        if shift <= tolerance:
            break
    return _nearest_centres(Z, centres)


def _logs(Z: Any, weights: torch.Tensor, reg: Any) -> Any:
    """(n, K) logarithms of share times density, after an M-step over dense responsibilities."""
    sizes = weights.sum(dim=0) + 10.0 * torch.finfo(torch.float64).eps
    means = weights.T @ Z / sizes[:, None]
    shares = (sizes / sizes.sum()).log()
    logs = torch.empty_like(weights)
    ridge = reg * torch.eye(Z.shape[1], dtype=Z.dtype, device=Z.device)
    for k in range(weights.shape[1]):
        residuals = Z - means[k]
        covariance = (weights[:, k, None] * residuals).T @ residuals / sizes[k] + ridge
        factor, info = torch.linalg.cholesky_ex(covariance)
        if int(info) != 0:
            raise singular_component(k, reg)
        white = torch.linalg.solve_triangular(factor, residuals.T, upper=False)
        logs[:, k] = shares[k] - factor.diagonal().log().sum() - 0.5 * (white * white).sum(dim=0)
    return logs.sub_(0.5 * Z.shape[1] * math.log(2.0 * math.pi))


def gaussian_mixture(
    Z: Any,
    labels: Any,
    n_components: int,
    reg: float = 1e-6,
    tol: float = 1e-3,
    max_iter: int = 100,
) -> Responsibilities:
    """See the contract in the package's docstring."""
    Z = as_tensor(Z, dtype=torch.float64)
    labels = as_codes(labels, Z)
    weights = torch.zeros((len(Z), n_components), dtype=torch.float64, device=Z.device)
    weights[torch.arange(len(Z), device=Z.device), labels] = 1.0
    level, n_iter, ended = -math.inf, 0, False
    while True:
        before = level
        logs = _logs(Z, weights, reg)
        densities = torch.logsumexp(logs, dim=1)
        weights, level = (logs - densities[:, None]).exp_(), float(densities.mean())
        if ended:
            break
        n_iter += 1
        ended = abs(level - before) < tol or n_iter == max_iter
    kept = weights > math.exp(-NEGLIGIBLE) * weights.amax(dim=1, keepdim=True)
    indptr = torch.nn.functional.pad(kept.sum(dim=1).cumsum(0), (1, 0))
    return Responsibilities(indptr, kept.nonzero()[:, 1], weights[kept], level, n_iter)
