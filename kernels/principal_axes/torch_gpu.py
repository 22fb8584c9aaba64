"""`principal_axes` by cuSOLVER and cuBLAS through PyTorch."""

from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_doubles, as_features, as_tensor
from . import number_of_axes

BLOCK_ELEMENTS = 1 << 25


def principal_axes(
    gram: Array, n_axes: int | None = None, variance: float | None = None
) -> tuple[Array, Array]:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram)
    values, vectors = torch.linalg.eigh(gram.triu() + gram.triu(1).mT)
    values, vectors = values.flip(0).clamp_min(0.0), vectors.flip(1)
    if n_axes is None:
        on_host = values.cpu().numpy()
        n_axes = min(len(gram), number_of_axes(on_host, on_host.sum(), variance))
    axes = vectors[:, :n_axes].contiguous()
    largest = axes.take_along_dim(axes.abs().argmax(dim=0)[None], dim=0)
    axes *= torch.where(largest < 0.0, -1.0, 1.0).to(axes.dtype)
    return values[:n_axes].clone(), axes


def principal_scores(X: Array, shift: Array, axes: Any) -> Array:
    """See the contract in the package's docstring."""
    X = as_features(X)
    shift, axes = as_doubles(shift, X), as_doubles(axes, X)
    scores = torch.empty((len(X), axes.shape[1]), dtype=torch.float64, device=X.device)
    step = max(1, BLOCK_ELEMENTS // X.shape[1])
    for start in range(0, len(X), step):
        rows = slice(start, start + step)
        torch.matmul(X[rows].double() - shift, axes, out=scores[rows])
    return scores
