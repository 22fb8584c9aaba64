"""`logme_evidence` by LAPACK and Numba: a tridiagonal reduction, then O(r) work a target and round.

With gram = Q T Q^T and c = Q^T moments, every u = (gram + t I)^-1 moments is Q times the solution
of a tridiagonal system, so that norms and products of u need neither Q nor eigenvectors.
"""

from typing import Any

import numpy as np
from scipy.linalg import lapack

from ..numba_runtime import as_vector, kernel
from ..threads import run_in_threads
from . import GRAM_ERROR, SMALLEST_PRECISION, Evidence, EvidenceRule, Known, LargestEvidence
from .shared_profile import from_gram, rounding_error


@kernel
def _solve(
    diagonal: np.ndarray,
    off_diagonal: np.ndarray,
    t: float,
    rhs: np.ndarray,
    inverse_pivots: np.ndarray,
    u: np.ndarray,
) -> Any:
    """u = (T + t I)^-1 rhs by L D L^T; False if T + t I is not positive definite."""
    r = len(diagonal)
    for i in range(r):
        pivot = diagonal[i] + t
        u[i] = rhs[i]
        if i > 0:
            factor = off_diagonal[i - 1] * inverse_pivots[i - 1]
            pivot -= factor * off_diagonal[i - 1]
            u[i] -= factor * u[i - 1]
        if not pivot > 0.0:
            return False
        inverse_pivots[i] = 1.0 / pivot
    u[r - 1] *= inverse_pivots[r - 1]
    for i in range(r - 2, -1, -1):
        u[i] = (u[i] - off_diagonal[i] * u[i + 1]) * inverse_pivots[i]
    return True


@kernel
def _norm_and_residual(
    diagonal: np.ndarray,
    off_diagonal: np.ndarray,
    t: float,
    rhs: np.ndarray,
    u: np.ndarray,
    square: float,
    dual: bool,
) -> Any:
    """m.m and |y - F m|^2 from the solution u."""
    r = len(u)
    u_u = 0.0
    for i in range(r):
        u_u += u[i] * u[i]
    if dual:
        u_t_u = 0.0
        for i in range(r):
            u_t_u += diagonal[i] * u[i] * u[i]
        for i in range(r - 1):
            u_t_u += 2.0 * off_diagonal[i] * u[i] * u[i + 1]
        return u_t_u, t * t * u_u
    rhs_u = 0.0
    for i in range(r):
        rhs_u += rhs[i] * u[i]
    return u_u, square - rhs_u - t * u_u


@kernel
def _norm_and_residual_projected(
    s: np.ndarray, t: float, p: np.ndarray, square: float, dual: bool
) -> Any:
    """m.m and |y - F m|^2 from the squared projections p on the eigenvectors."""
    norm, residual, p_u = 0.0, 0.0, 0.0
    for i in range(len(s)):
        inverse = 1.0 / (s[i] + t)
        if dual:
            norm += s[i] * p[i] * inverse * inverse
            residual += p[i] * (t * inverse) * (t * inverse)
        else:
            norm += p[i] * inverse * inverse
            p_u += p[i] * inverse
    if not dual:
        residual = square - p_u - t * norm
    return norm, residual


@kernel
def _precision(degrees: float, energy: float) -> Any:
    """Degrees of freedom over energy, kept in the range of precisions."""
    quotient = degrees / max(energy, SMALLEST_PRECISION**2)
    return min(max(quotient, SMALLEST_PRECISION), 1.0 / SMALLEST_PRECISION)


@kernel
def _fixed_point(
    s: np.ndarray,
    diagonal: np.ndarray,
    off_diagonal: np.ndarray,
    rhs: np.ndarray,
    projected: bool,
    square: float,
    n: int,
    d: int,
    zeros: int,
    dual: bool,
    epsilon: float,
    tolerance: float,
    max_rounds: int,
    epsilon_in_evidence: bool,
    alpha: float,
    beta: float,
) -> Any:
    """Evidence, alpha, beta and t of one target; False when the tridiagonal solve fails."""
    r = len(s)
    inverse_pivots, u = np.empty(r), np.empty(r)
    t, norm, residual = np.nan, np.nan, np.nan
    for _ in range(max_rounds):
        t = alpha / beta
        gamma, noise = 0.0, float(n - r)  # noise is n - gamma without its cancellation
        for i in range(r):
            gamma += s[i] / (s[i] + t)
            noise += t / (s[i] + t)
        if projected:
            norm, residual = _norm_and_residual_projected(s, t, rhs, square, dual)
        elif _solve(diagonal, off_diagonal, t, rhs, inverse_pivots, u):
            norm, residual = _norm_and_residual(diagonal, off_diagonal, t, rhs, u, square, dual)
        else:
            return np.nan, np.nan, np.nan, np.nan, False
        residual = max(residual, 0.0)
        alpha = _precision(gamma, norm + epsilon)
        beta = _precision(noise, residual + epsilon)
        if abs(alpha / beta - t) <= tolerance * t:
            break
    if epsilon_in_evidence:
        norm += epsilon
        residual += epsilon
    log_determinant = zeros * np.log(alpha)
    for i in range(r):
        log_determinant += np.log(alpha + beta * s[i])
    evidence = d * np.log(alpha) + n * np.log(beta) - log_determinant - beta * residual
    evidence = 0.5 * (evidence - alpha * norm - n * np.log(2.0 * np.pi))
    return evidence / n, alpha, beta, t, True


#: Grid of ln t; an eigenvalue's part changes over some four units of it.
STEP = np.log(4.0)
GRID_POINTS = 400
ROUNDS = 60
#: Steps, a factor of 4^14 in t; what is gained beyond falls with its square.
UPWARDS = 14
#: Units of ln t below the trace at which the search may rest; as in the C++ version.
DEPTH = 80.0


@kernel
def _profile_at(
    place: float,
    s: np.ndarray,
    diagonal: np.ndarray,
    off_diagonal: np.ndarray,
    rhs: np.ndarray,
    square: float,
    n: int,
    dual: bool,
    inverse_pivots: np.ndarray,
    u: np.ndarray,
    valued: bool = False,
) -> Any:
    """q, slope and value (without constants) of -2 n times the evidence; see shared_profile.py."""
    t = np.exp(place)
    if not _solve(diagonal, off_diagonal, t, rhs, inverse_pivots, u):
        return np.nan, np.nan, np.nan, np.nan, np.nan
    norm, residual = _norm_and_residual(diagonal, off_diagonal, t, rhs, u, square, dual)
    q = max(residual, 0.0) + t * norm
    fitted, left_over, value = 0.0, 0.0, 0.0
    for i in range(len(s)):
        fitted += s[i] / (s[i] + t)
        left_over += t / (s[i] + t)
    if valued:  # the logarithms cost more than the rest
        for i in range(len(s)):
            value += np.log1p(s[i] / t)
    if q > 0.0:
        return q, n * t * norm / q - fitted, value + n * np.log(q / n), fitted, left_over
    return np.nan, np.nan, np.nan, fitted, left_over


@kernel
def _root(
    low: float,
    high: float,
    low_slope: float,
    high_slope: float,
    s: np.ndarray,
    diagonal: np.ndarray,
    off_diagonal: np.ndarray,
    rhs: np.ndarray,
    square: float,
    n: int,
    dual: bool,
    inverse_pivots: np.ndarray,
    u: np.ndarray,
) -> Any:
    """ln t of the minimum in a bracket, by secant steps with Illinois' halving."""
    place, side, moves = 0.5 * (low + high), 0, 0
    for _ in range(ROUNDS):
        following = low - (high - low) * low_slope / (high_slope - low_slope)
        # The evidence is flat at its maximum: errors enter squared.
        if abs(following - place) < 1e-5:
            return following
        place = following
        _, slope, _, _, _ = _profile_at(
            place, s, diagonal, off_diagonal, rhs, square, n, dual, inverse_pivots, u
        )
        now = -1 if slope < 0.0 else 1
        moves = moves + 1 if now == side else 1
        side = now
        if slope < 0.0:
            low, low_slope = place, slope
            high_slope *= 0.5 if moves > 1 else 1.0
        else:
            high, high_slope = place, slope
            low_slope *= 0.5 if moves > 1 else 1.0
    return place


@kernel
def _certain(s: np.ndarray, ratio: float, empty: float, error: float) -> Any:
    """Whether an error of the Gram matrix is small in the evidence: `shared_profile.certain`."""
    if ratio == np.inf:
        return True
    inverses = 0.0
    for i in range(len(s)):
        if not s[i] + ratio > 0.0:
            return False
        inverses += 1.0 / (s[i] + ratio)
    if ratio > 0.0:
        inverses = min(inverses - empty / ratio, 1.0 / ratio)
    return error * inverses <= GRAM_ERROR


@kernel
def _largest(
    s: np.ndarray,
    diagonal: np.ndarray,
    off_diagonal: np.ndarray,
    rhs: np.ndarray,
    square: float,
    n: int,
    dual: bool,
    top: float,
    floor: float,
    empty: float,
    error: float,
) -> Any:
    """Evidence, alpha, beta and t of one target; NaN where the Gram matrix cannot tell it."""
    r = len(s)
    inverse_pivots, u = np.empty(r), np.empty(r)
    best, quadratic, ratio = n * np.log(square / n), square, np.inf
    above, ended, lost = -1.0, False, False
    least = np.log(np.sum(s)) - DEPTH
    for _ in range(UPWARDS):  # first, where the maximum is nearly null
        _, slope, _, _, _ = _profile_at(
            top, s, diagonal, off_diagonal, rhs, square, n, dual, inverse_pivots, u
        )
        if not slope < 0.0:
            break
        top += STEP
    for k in range(GRID_POINTS):
        place = top - k * STEP
        q, slope, _, fitted, left_over = _profile_at(
            place, s, diagonal, off_diagonal, rhs, square, n, dual, inverse_pivots, u
        )
        if slope < 0.0 and above >= 0.0:
            found = _root(
                place, place + STEP, slope, above, s, diagonal, off_diagonal, rhs, square, n,
                dual, inverse_pivots, u,
            )  # fmt: skip
            q, _, value, _, _ = _profile_at(
                found,
                s,
                diagonal,
                off_diagonal,
                rhs,
                square,
                n,
                dual,
                inverse_pivots,
                u,
                True,
            )
            if value < best:
                best, quadratic, ratio = value, q, np.exp(found)
        # See csrc/logme_evidence/logme_evidence.cpp for why nothing is left below.
        if dual:
            ended = (slope < 0.0 or empty == 0.0) and left_over - empty < 0.01
        else:
            penalty = slope + fitted
            ended = slope < 0.0 and left_over - empty < 0.5
            ended = ended and penalty <= 0.5 * fitted and penalty <= 0.25 * n
        above = slope
        if n - fitted < 0.5 * n and not ended:  # the logarithms cost more than the rest
            value = n * np.log(q / n)
            for i in range(r):
                value += np.log1p(s[i] / np.exp(place))
            lost = value - (n - fitted) * (place - least) > best + 1.0
            ended = lost
        if ended or place - STEP < floor:
            break
    if (
        ended and not lost and not above < 0.0
    ):  # the evidence rises to that of the model without noise
        ended = _solve(diagonal, off_diagonal, 0.0, rhs, inverse_pivots, u)
        inverse, limit = 0.0, 0.0
        for i in range(r):
            inverse += rhs[i] * u[i]
            limit += np.log(s[i])
        limit += n * np.log(inverse / n)
        if limit < best:
            best, quadratic, ratio = limit, inverse, 0.0
    evidence = -0.5 * (best / n + 1.0 + np.log(2.0 * np.pi))
    if not ended or not _certain(s, ratio, empty, error):
        evidence = np.nan
    precision = n / quadratic
    if ratio == 0.0:
        return evidence, precision, np.inf, 0.0
    return evidence, ratio * precision, precision, ratio


def _tridiagonal(
    gram: np.ndarray, moments: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diagonal and off-diagonal of T = Q^T gram Q, and (Q^T moments)^T, (K, r)."""
    rotated = np.array(moments, dtype=np.float64, order="F", copy=True)
    r = len(gram)
    if r == 1:
        return np.array(gram[0], dtype=np.float64), np.empty(0), rotated.T
    # The upper triangle of a C-ordered matrix is the lower one of its Fortran-ordered transpose.
    work = np.array(gram, dtype=np.float64, order="C", copy=True).T
    lwork = int(lapack.dsytrd_lwork(r, lower=1)[0])
    work, diagonal, off_diagonal, tau, _ = lapack.dsytrd(work, lower=1, lwork=lwork, overwrite_a=1)
    # Q leaves the first coordinate alone; its reflectors stand below the first subdiagonal.
    reflectors, rest = np.asfortranarray(work[1:, :-1]), np.asfortranarray(rotated[1:])
    lwork = 64 * max(1, rest.shape[1]) + 65 * 64
    rotated[1:] = lapack.dormqr("L", "T", reflectors, tau, rest, lwork, overwrite_c=1)[0]
    return diagonal, off_diagonal, rotated.T


def logme_evidence(
    gram: np.ndarray,
    moments: np.ndarray,
    squares: np.ndarray,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool = False,
    known: Known | None = None,
) -> Evidence:
    """See the contract in the package's docstring."""
    if known is not None:
        return from_gram(np.asarray(gram), moments, squares, n_samples, dual, known)
    diagonal, off_diagonal, rotated = _tridiagonal(gram, moments)
    if len(diagonal) > 1:
        s, _ = lapack.dsterf(diagonal, off_diagonal)
    else:
        s = diagonal
    s = np.maximum(s, 0.0)
    if isinstance(rule, LargestEvidence):
        trace = float(s.sum())
        if not trace > 0.0:
            return from_gram(np.asarray(gram), moments, squares, n_samples, dual)
        # As the compiled version has it: all start from a power of four above the spectrum.
        top = STEP * (np.ceil(np.log(trace) / STEP) + 1.0)
        empty = float(np.count_nonzero(np.diagonal(gram) == 0.0))
        floor = np.log(64.0 * np.finfo(np.float64).eps * s.max())
        error = rounding_error((s**2).sum() ** 0.5, np.diagonal(gram))

        def largest(k: int) -> tuple[float, float, float, float]:
            return _largest(
                as_vector(s), as_vector(diagonal), as_vector(off_diagonal), as_vector(rotated[k]),
                float(squares[k]), float(n_samples), dual, top,
                floor, empty, error,
            )  # fmt: skip

        found = run_in_threads(largest, range(moments.shape[1]))
        return Evidence(*np.array(found).reshape(-1, 4).T)
    zeros = n_features - len(s) if rule.full_spectrum else 0

    def fixed_point(
        s: np.ndarray, rhs: Any, projected: Any, square: Any, alpha: float, beta: float
    ) -> Any:
        return _fixed_point(
            as_vector(s), as_vector(diagonal), as_vector(off_diagonal), as_vector(rhs), projected,
            float(square), n_samples, n_features, zeros, dual, rule.epsilon, rule.tolerance,
            rule.max_rounds, rule.epsilon_in_evidence, alpha, beta,
        )  # fmt: skip

    def tridiagonal(k: int, alpha: float = 1.0, beta: float = 1.0) -> Any:
        return fixed_point(s, rotated[k], False, squares[k], alpha, beta)

    spectrum: list[np.ndarray] = []

    def projected(k: int, alpha: float = 1.0, beta: float = 1.0) -> Any:
        if not spectrum:
            eigenvalues, vectors = np.linalg.eigh(gram, UPLO="U")
            spectrum.extend([np.maximum(eigenvalues, 0.0), vectors])
        p = (spectrum[1].T @ moments[:, k]) ** 2
        return fixed_point(spectrum[0], p, True, squares[k], alpha, beta)

    targets = range(moments.shape[1])
    if rule.warm_start:
        found = []
        alpha = beta = 1.0
        for k in targets:
            found.append(tridiagonal(k, alpha, beta))
            if not found[-1][-1]:
                found[-1] = projected(k, alpha, beta)
            alpha, beta = found[-1][1:3]
    else:
        found = run_in_threads(tridiagonal, targets)
        found = [one if one[-1] else projected(k) for k, one in enumerate(found)]
    return Evidence(*np.array(found).reshape(-1, 5).T[:4])
