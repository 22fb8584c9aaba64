"""`randomized_pca` by cuBLAS and cuSOLVER through PyTorch; X is read by blocks of rows."""

from collections.abc import Iterator
from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_features
from .shared_range_finder import CentredRows, principal_scores

BLOCK_ELEMENTS = 1 << 24


class _Rows(CentredRows):
    def __init__(self, X: torch.Tensor) -> None:
        self.X = X
        self.shape = X.shape
        self._block_rows = max(1, BLOCK_ELEMENTS // X.shape[1])
        self._mean = 0.0
        self._mean = sum(block.sum(dim=0) for _, block in self.blocks()) / len(X)

    def blocks(self) -> Iterator[Any]:
        for start in range(0, len(self.X), self._block_rows):
            rows = slice(start, start + self._block_rows)
            yield rows, self.X[rows].double() - self._mean

    def times(self, right: torch.Tensor) -> torch.Tensor:
        return torch.cat([block @ right for _, block in self.blocks()])


def randomized_pca(X: Array, n_components: int) -> torch.Tensor:
    """See the contract in the package's docstring."""
    X = as_features(X)
    return principal_scores(_Rows(X), n_components, like=X)
