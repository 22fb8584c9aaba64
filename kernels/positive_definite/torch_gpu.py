"""`positive_definite` by cuSOLVER through PyTorch: Cholesky, eigenvalues where rank is in doubt."""

import math
from typing import Any

import torch

from ..array_namespace import Array
from ..torch_runtime import as_tensor
from . import RANK_EPS, SAFE_PIVOT


def _scaled(gram: torch.Tensor) -> Any:
    """The whole Gram matrix of unit diagonal, what scales it so, and its factor or None.

    A zero column gets a pivot of one in the factor: it meets zeros only.
    """
    diagonal = gram.diagonal()
    roots = torch.where(diagonal > 0.0, diagonal.clamp_min(5e-324).rsqrt(), 0.0)
    scaled = roots[:, None] * (gram.triu() + gram.triu(1).T) * roots
    factor, info = torch.linalg.cholesky_ex(scaled + torch.diag((roots == 0.0).double()))
    if int(info) != 0 or float(factor.diagonal().min()) ** 2 < SAFE_PIVOT:
        factor = None
    return scaled, roots, factor


def _eigenpairs(scaled: Any) -> Any:
    values, vectors = torch.linalg.eigh(scaled)
    kept = values > len(scaled) * RANK_EPS
    return values[kept, None], vectors[:, kept]


def quadratic_forms(gram: Array, columns: Array) -> tuple[Array, int]:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram)
    scaled, roots, factor = _scaled(gram)
    columns = roots[:, None] * as_tensor(columns, gram)
    if factor is not None:
        solved = torch.linalg.solve_triangular(factor, columns, upper=False)
        return (solved**2).sum(dim=0), int((roots > 0.0).sum())
    values, vectors = _eigenpairs(scaled)
    return ((vectors.T @ columns) ** 2 / values).sum(dim=0), len(values)


def semidefinite_solve(gram: Array, columns: Array) -> tuple[Array, int]:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram)
    scaled, roots, factor = _scaled(gram)
    columns = roots[:, None] * as_tensor(columns, gram)
    if factor is not None:
        return roots[:, None] * torch.cholesky_solve(columns, factor), int((roots > 0.0).sum())
    values, vectors = _eigenpairs(scaled)
    return roots[:, None] * (vectors @ ((vectors.T @ columns) / values)), len(values)


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
