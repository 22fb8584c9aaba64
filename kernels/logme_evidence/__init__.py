"""Contract of `logme_evidence`: log evidence of Bayesian linear regression, many targets at once.

    logme_evidence(
        gram, moments, squares, n_samples, n_features, rule, dual=False, known=None
    ) -> Evidence

For the features F (n, d) and target columns y of Y (n, K), float64:

    primal (n > d):   gram = F^T F (d, d),  moments = F^T Y (d, K)
    dual   (n <= d):  gram = F F^T (n, n),  moments = Y     (n, K)

and ``squares`` = y.y (K,). Of ``gram`` only the upper triangle is read; nothing is changed. For
each target the fixed point of the noise and weight precisions beta and alpha is sought (You et al.,
ICML 2021; JMLR 2022): from alpha = beta = 1, with t = alpha / beta, the weights
m = (F^T F + t I)^-1 F^T y, the eigenvalues s of F^T F and gamma = sum of s / (s + t),

    alpha <- gamma / (m.m + epsilon)      beta <- (n - gamma) / (|y - F m|^2 + epsilon)

until t changes by no more than ``tolerance`` relative, at most ``max_rounds`` times. Both are kept
between `SMALLEST_PRECISION` and its inverse, so that features or targets of zeros and exact fits
stay finite. Then, with the last alpha and beta and the m and residual before them,

    evidence = (d ln alpha + n ln beta - sum of ln(alpha + beta s) - beta |y - F m|^2 - alpha m.m
                - n ln 2 pi) / (2 n)

with the sum over all d eigenvalues, zeros included. `EvidenceRule` holds these settings; published
implementations differ in them. With `LargestEvidence` as the rule the maximum itself is sought. The
Gram matrix squares the condition number of F; ``shared_centred.py`` is the same from the centred
Gram matrix and the mean, ``shared_factored.py`` from F itself.

The compiled version gives the same bits, those of its instruction set, on every run and for any
number of threads. The others call LAPACK, whose bits may change with BLAS's threads.
"""

from dataclasses import dataclass

import numpy as np

from ..array_namespace import Array

#: Bound of alpha and beta; squares of their ratio stay within float64.
SMALLEST_PRECISION = 1e-75

#: Largest worst case of the Gram matrix's own rounding error in a log evidence per sample. In
#: practice an error is at most a half, mostly some thousandths of that.
GRAM_ERROR = 1e-9


@dataclass(frozen=True)
class EvidenceRule:
    """Settings of the evidence iteration.

    Parameters
    ----------
    epsilon : float
        Added to both denominators.
    tolerance : float
        Relative change of t = alpha / beta at which the iteration stops.
    max_rounds : int
        Most updates of alpha and beta.
    epsilon_in_evidence : bool
        Whether epsilon is added to residual and weight norm in the evidence too.
    full_spectrum : bool
        Whether the sum of logarithms takes all d eigenvalues, as the evidence has it, or only
        min(n, d) of them.
    warm_start : bool
        Whether a target starts from its predecessor's alpha and beta, in the order of the columns.
    """

    epsilon: float = 1e-5
    tolerance: float = 1e-3
    max_rounds: int = 11
    epsilon_in_evidence: bool = False
    full_spectrum: bool = True
    warm_start: bool = False


@dataclass(frozen=True)
class LargestEvidence:
    """Instead of an `EvidenceRule`: the largest evidence over all alpha and beta.

    Without epsilon, cap or start, converged to rounding error; the mathematics is in
    ``shared_profile.py``. The model without noise, t = 0, counts too where it has an evidence: in
    the dual form, where the rank is n. A target's evidence is NaN where the rounding error of the
    Gram matrix may be worth more than 1e-9 in it: an error of spectral norm e is worth e / (s + t)
    at most, with the matrix's smallest eigenvalue s.
    """


@dataclass(frozen=True)
class Known:
    """Directions that the Gram matrix of the dual form has not, for `LargestEvidence`.

    The matrix may then have fewer rows than there are samples; its moments are the targets'
    coordinates in some orthonormal basis.

    Parameters
    ----------
    eigenvalues : (m,) array
        On the host, as the others.
    parts : (m, K) array
        Squares of the targets' coordinates along them.
    rest : (K,) array
        What of y.y is in none of the directions, nor in the Gram matrix's.
    """

    eigenvalues: np.ndarray
    parts: np.ndarray
    rest: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """What the iteration found for each of K targets.

    Parameters
    ----------
    evidences : (K,) array
        Log evidence per sample.
    alphas, betas : (K,) arrays
        Precisions of the weights and of the noise after the last update.
    ratios : (K,) array
        The t at which the last m was taken: the weights are m = (F^T F + t I)^-1 F^T y.
    """

    evidences: Array
    alphas: Array
    betas: Array
    ratios: Array
