"""`logme_evidence` by eigenvectors and Triton: one launch iterates every target to its end.

The eigenvectors come from PyTorch's `linalg.eigh`. A tridiagonal reduction would do, and cost less,
but no library for the GPU offers one by itself, and its solves run along the diagonal, one step
after the other; with the eigenvectors every round is a sum over the spectrum. Rounding leaves
eigenvalues of null directions slightly negative, and moments there; the first are clipped at zero,
the second at what is possible: (v . F^T y)^2 <= s y.y for the eigenpair (s, v).
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl

from ..array_namespace import Array
from ..torch_runtime import as_doubles, as_tensor, on_device_of
from ..triton_runtime import LAUNCH
from . import SMALLEST_PRECISION, Evidence, EvidenceRule, Known, LargestEvidence
from .shared_profile import from_gram

#: Eigenvalues that a program takes at a time, four a thread.
EIGENVALUES = 512


@triton.jit
def _precision(degrees, energy, SMALLEST: tl.constexpr):
    """Degrees of freedom over energy, kept in the range of precisions."""
    quotient = degrees / tl.maximum(energy, SMALLEST * SMALLEST)
    return tl.minimum(tl.maximum(quotient, SMALLEST), 1.0 / SMALLEST)


@triton.jit(do_not_specialize=["n_targets", "r", "max_rounds", "warm_start"])
def _fixed_points(
    spectrum, squared_projections, squares, results, settings,
    n_targets, r, max_rounds, warm_start,
    DUAL: tl.constexpr, SMALLEST: tl.constexpr, EIGENVALUES: tl.constexpr,
):  # fmt: skip
    """Evidence, alpha, beta and t of every target that falls to this program, in order."""
    n = tl.load(settings)
    d = tl.load(settings + 1)
    zeros = tl.load(settings + 2)
    epsilon = tl.load(settings + 3)
    epsilon_in_evidence = tl.load(settings + 4)
    tolerance = tl.load(settings + 5)
    log_two_pi = tl.load(settings + 6)
    one = tl.load(settings + 7)  # a float64 scalar to begin with
    indices = tl.arange(0, EIGENVALUES)

    alpha = one
    beta = one
    for target in range(tl.program_id(0), n_targets, tl.num_programs(0)):
        projections = squared_projections + tl.cast(target, tl.int64) * r
        square = tl.load(squares + target)
        if warm_start == 0:
            alpha = one
            beta = one
        t = one
        weight_norm = 0.0 * one
        residual = 0.0 * one
        rounds = 0
        while rounds < max_rounds:
            t = alpha / beta
            gammas = tl.zeros((EIGENVALUES,), tl.float64)
            noises = tl.zeros((EIGENVALUES,), tl.float64)
            norms = tl.zeros((EIGENVALUES,), tl.float64)
            residuals = tl.zeros((EIGENVALUES,), tl.float64)
            for first in range(0, r, EIGENVALUES):
                exists = first + indices < r
                s = tl.load(spectrum + first + indices, mask=exists, other=0.0)
                p = tl.load(projections + first + indices, mask=exists, other=0.0)
                inverse = 1.0 / (s + t)
                share = t * inverse
                gammas += s * inverse
                noises += tl.where(exists, share, 0.0)
                if DUAL:  # p are projections of y itself
                    norms += s * p * inverse * inverse
                    residuals += p * share * share
                else:  # p are projections of F^T y
                    p = tl.minimum(p, s * square)
                    norms += p * inverse * inverse
                    residuals += p * inverse
            gamma = tl.sum(gammas)
            noise = n - r + tl.sum(noises)  # n - gamma without its cancellation
            weight_norm = tl.sum(norms)
            residual = tl.sum(residuals)
            if not DUAL:
                residual = tl.maximum(square - residual - t * weight_norm, 0.0)
            alpha = _precision(gamma, weight_norm + epsilon, SMALLEST)
            beta = _precision(noise, residual + epsilon, SMALLEST)
            rounds += 1
            if tl.abs(alpha / beta - t) <= tolerance * t:
                rounds = max_rounds
        weight_norm += epsilon_in_evidence
        residual += epsilon_in_evidence
        logarithms = tl.zeros((EIGENVALUES,), tl.float64)
        for first in range(0, r, EIGENVALUES):
            exists = first + indices < r
            s = tl.load(spectrum + first + indices, mask=exists, other=0.0)
            logarithms += tl.where(exists, tl.log(alpha + beta * s), 0.0)
        log_determinant = tl.sum(logarithms) + zeros * tl.log(alpha)
        evidence = d * tl.log(alpha) + n * tl.log(beta) - log_determinant
        evidence = evidence - beta * residual - alpha * weight_norm - n * log_two_pi
        tl.store(results + target, 0.5 * evidence / n)
        tl.store(results + n_targets + target, alpha)
        tl.store(results + 2 * n_targets + target, beta)
        tl.store(results + 3 * n_targets + target, t)


def logme_evidence(
    gram: Array,
    moments: Array,
    squares: Array,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool = False,
    known: Known | None = None,
) -> Evidence:
    """See the contract in the package's docstring."""
    gram = as_tensor(gram, dtype=torch.float64)
    moments, squares = as_doubles(moments, gram), as_doubles(squares, gram)
    r, n_targets = moments.shape
    doubles: dict[str, Any] = {"dtype": torch.float64, "device": gram.device}
    results = torch.empty((4, n_targets), **doubles)
    if n_targets == 0:
        return Evidence(*results)

    if isinstance(rule, LargestEvidence):
        return from_gram(gram, moments, squares, n_samples, dual, known)
    spectrum, vectors = torch.linalg.eigh(gram, UPLO="U")
    squared_projections = (moments.T @ vectors).square_()
    zeros = n_features - r if rule.full_spectrum else 0
    epsilon_in_evidence = rule.epsilon if rule.epsilon_in_evidence else 0.0
    settings = torch.tensor(  # Triton takes Python's floats as float32
        [
            n_samples, n_features, zeros, rule.epsilon, epsilon_in_evidence, rule.tolerance,
            math.log(2.0 * math.pi), 1.0,
        ],
        **doubles,
    )  # fmt: skip
    with on_device_of(gram):
        _fixed_points[(1 if rule.warm_start else n_targets,)](
            spectrum.clamp_(min=0.0), squared_projections, squares, results, settings,
            n_targets, r, rule.max_rounds, int(rule.warm_start),
            DUAL=dual, SMALLEST=SMALLEST_PRECISION, EIGENVALUES=EIGENVALUES, **LAUNCH,
        )  # fmt: skip
    return Evidence(*results)
