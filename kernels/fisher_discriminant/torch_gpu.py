"""`fisher_discriminant` by cuBLAS and cuSOLVER through PyTorch.

Products take full matrices here: on a GPU the d^3 terms are small beside the scatter, and symmetric
routines with one triangle are not to be had.
"""

import torch

from ..array_namespace import Array
from ..torch_runtime import as_doubles
from . import POWER_ROUNDS, SingularScatter


def within_scatter(gram: Array, left: Array, right: Array, n_samples: int) -> torch.Tensor:
    """See the contract in the package's docstring."""
    gram = as_doubles(gram, gram)
    left, right = as_doubles(left, gram), as_doubles(right, gram)
    # The lower triangle of the Gram matrix may hold anything, NaN too.
    half = torch.triu(gram).addmm_(left.T, right, alpha=0.5).addmm_(right.T, left, alpha=0.5)
    return half.div_(n_samples)


def _symmetric(upper: torch.Tensor) -> torch.Tensor:
    return torch.triu(upper) + torch.triu(upper, 1).T


def dominant_eigenvalue(within: Array, ones: Array) -> float:
    """See the contract in the package's docstring."""
    A = _symmetric(as_doubles(within, within))
    x = A @ as_doubles(ones, A)

    def unit(vector: torch.Tensor) -> torch.Tensor:
        # A zero matrix gives zero vectors: no division by zero, and no look at the device for it.
        return vector / torch.linalg.vector_norm(vector).clamp_min(torch.finfo(x.dtype).tiny)

    for _ in range(POWER_ROUNDS):
        y = unit(A @ x)
        x = unit(A @ y)
    return float(x @ (A @ y))


def fisher_discriminant(
    within: Array, means: Array, shrinkage: float, n_features: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """See the contract in the package's docstring."""
    within = as_doubles(within, within)
    means = as_doubles(means, within)
    ridge = shrinkage * within.trace() / n_features
    within.mul_(1.0 - shrinkage)
    within.diagonal().add_(ridge)
    # Of the transpose the lower triangle is read, as cuSOLVER has it.
    factor, info = torch.linalg.cholesky_ex(within.T)
    if int(info) != 0:
        raise SingularScatter("the shrunk within-class scatter is singular")
    coef = torch.cholesky_solve(means.T, factor).T.contiguous()
    return coef, 0.5 * torch.linalg.vecdot(coef, means)
