"""`positive_definite` by cuSOLVER through PyTorch: Cholesky, eigenvalues where rank is in doubt."""

import math
from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_tensor
from . import RANK_EPS, SAFE_PIVOT


def quadratic_forms(gram: Array, columns: Array) -> tuple[Array, int]:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram)
    columns = as_tensor(columns, gram)
    diagonal = gram.diagonal()
    roots = torch.where(diagonal > 0.0, diagonal.clamp_min(5e-324).rsqrt(), 0.0)
    scaled = roots[:, None] * (gram.triu() + gram.triu(1).T) * roots
    columns = roots[:, None] * columns
    # A zero column gets a pivot of one: it meets zeros only.
    scaled.diagonal().add_((roots == 0.0).double())
    factor, info = torch.linalg.cholesky_ex(scaled)
    if int(info) == 0 and float(factor.diagonal().min()) ** 2 >= SAFE_PIVOT:
        solved = torch.linalg.solve_triangular(factor, columns, upper=False)
        return (solved**2).sum(dim=0), int((roots > 0.0).sum())
    scaled.diagonal().sub_((roots == 0.0).double())
    values, vectors = torch.linalg.eigh(scaled)
    kept = values > len(gram) * RANK_EPS
    coordinates = vectors[:, kept].T @ columns
    return (coordinates**2 / values[kept, None]).sum(dim=0), int(kept.sum())


def log_determinant(gram: Array, scale: Any) -> float:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram)
    shifted = scale * (gram.triu() + gram.triu(1).T)
    shifted.diagonal().add_(1.0)
    factor, info = torch.linalg.cholesky_ex(shifted)
    pivots = factor.diagonal() ** 2
    if int(info) != 0 or not bool((pivots > SAFE_PIVOT * shifted.diagonal()).all()):
        return math.nan
    return float(pivots.log().sum())
