"""A linear discriminant from class means and a shrunk within-class scatter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..kernels.array_namespace import array_namespace
from ..ops import BoundOps


@dataclass(frozen=True)
class Discriminant:
    """A linear discriminant z = x coef^T + intercept and what it was made from.

    Parameters
    ----------
    coef : (C, d) array
    intercept : (C,) array
    means : (C, d) array
        Class means around their weighted mean ``center`` (d,).
    """

    coef: Any
    intercept: Any
    means: Any
    center: Any


def shrunk_discriminant(
    ops: BoundOps,
    within: Any,
    means: Any,
    shift: Any,
    counts: Any,
    shrinkage: float,
    n_features: int,
) -> Discriminant:
    """z_c = x.S^-1 mu_c - mu_c.S^-1 mu_c / 2 + ln pi_c, S = (1 - s) Sw + s tr(Sw)/d I.

    Parameters
    ----------
    ops : BoundOps
    within : (d, d) array
        Within-class scatter Sw, upper triangle; consumed.
    means : (C, d) array
        Class means mu less the ``shift`` (d,).
    counts : (C,) array
        Samples of each class; their shares are the priors pi.
    shrinkage : float
        s.
    n_features : int
        d of the trace's mean, more than the order of Sw where the features were rotated.

    Raises
    ------
    SingularScatter
        If S is singular to working precision.
    """
    n_samples = counts.sum()
    center = counts @ means / n_samples
    means = means - center
    coef, offset = ops.fisher_discriminant(within, means, shrinkage, n_features)
    log_priors = array_namespace(counts).log(counts / n_samples)
    center = center + shift
    return Discriminant(coef, log_priors - offset - coef @ center, means, center)
