"""`gaussian_pairs` by batched Cholesky factors through PyTorch, blocks of pairs at a time."""

from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_doubles, as_tensor
from . import PIVOT_EPS, SMALLEST_VARIANCE

#: Doubles that the matrices of a block of pairs take.
BLOCK_ELEMENTS = 1 << 25


def gaussian_pairs(means: Array, covariances: Any) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    means = as_tensor(means, dtype=torch.float64)
    covariances = as_doubles(covariances, means)
    n_classes, p = means.shape
    if covariances.ndim == 1:
        covariances = covariances[:, None].expand(n_classes, p)
    elif covariances.ndim == 3:
        covariances = covariances.triu() + covariances.triu(1).mT
    pair = _of_matrices if covariances.ndim == 3 else _of_variances
    rows, columns = torch.triu_indices(n_classes, n_classes, device=means.device)
    distances = means.new_empty((n_classes, n_classes))
    logdets = torch.empty_like(distances)
    step = max(1, BLOCK_ELEMENTS // covariances[0].numel())
    for start in range(0, len(rows), step):
        i, j = rows[start : start + step], columns[start : start + step]
        S = 0.5 * (covariances[i] + covariances[j])
        found, logarithms = pair(means[i] - means[j], S)
        distances[i, j] = distances[j, i] = found
        logdets[i, j] = logdets[j, i] = logarithms
    return distances, logdets


def _of_matrices(differences: Any, S: Any) -> Any:
    factors, info = torch.linalg.cholesky_ex(S)
    pivots = factors.diagonal(dim1=1, dim2=2) ** 2
    largest = S.diagonal(dim1=1, dim2=2).amax(dim=1)
    regular = (info == 0) & (pivots.amin(dim=1) > S.shape[1] * PIVOT_EPS * largest)
    # What has no factor is solved with the identity, and left out afterwards.
    identity = torch.eye(S.shape[1], dtype=S.dtype, device=S.device)
    factors = torch.where(regular[:, None, None], factors, identity)
    solved = torch.linalg.solve_triangular(factors, differences[:, :, None], upper=False)
    logarithms = torch.where(regular, pivots.log().sum(dim=1), -torch.inf)
    return torch.where(regular, (solved**2).sum(dim=(1, 2)), torch.nan), logarithms


def _of_variances(differences: Any, variances: Any) -> Any:
    regular = variances.amin(dim=1) >= SMALLEST_VARIANCE
    found = (differences**2 / variances).sum(dim=1)
    logarithms = torch.where(regular, variances.log().sum(dim=1), -torch.inf)
    return torch.where(regular, found, torch.nan), logarithms
