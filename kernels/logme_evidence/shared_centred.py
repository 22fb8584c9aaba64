"""For every version: LogME's evidence from the centred Gram matrix and the mean.

This is for badly conditioned features.

The Gram matrix of features with large means, or with columns of very different size, has lost the
digits of the quiet directions. In the centred Gram matrix, which `fisher_scatter` sums around a
shift, they are still there, relative to each column's own spread. With N rows X = 1 m^T + Xc and
Xc^T Xc = L L^T,

    X = [1 / sqrt(N), Qc] R,    R = [sqrt(N) m^T; L^T],

as Qc is orthogonal to the vector of ones. The columns are scaled to a unit diagonal by powers of
two before they are factored; those without variance are left to the mean. With R = Q T by a pivoted
QR factorisation, loud rows and columns first, T T^T is graded, and its eigenvalues are the squares
of R's singular values: loud directions are split off by rotations no larger than the ratio of quiet
to loud, and so leave the others their digits.

O(d^3) work beyond the scatter. A single loud row drowns the digits of the centred matrix, too: such
rows may be left out of the scatter and given as they are.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from ..array_namespace import Array, array_namespace, beside, is_tensor, on_host
from . import GRAM_ERROR, Evidence, EvidenceRule, Known, LargestEvidence
from .reference import fixed_points
from .shared_profile import certain, rounding_error

EPS = np.finfo(np.float64).eps
#: A column's variance below so many roundings of the sum that it comes from counts as none.
FLAT = 1e3 * EPS
#: A direction is known to be there where its square's relative error is so small.
RESOLVED = 0.03
#: Directions are split off where they are so much louder, in squares, than all others together.
LOUD = 100.0
#: Most directions that are split off at a time, and the largest ratio among them.
MOST_LOUD, MOST_GRADED = 64, 1e8
MOST_ROUNDS = 60
#: Columns that are chosen as pivots one by one.
PIVOTS = 3


def evidence(
    scatter: Any,
    moments: Array | None,
    targets: Array,
    squares: Array,
    n_samples: int,
    n_features: int,
    rule: EvidenceRule | LargestEvidence,
    dual: bool,
    loud: Array,
    of_loud: Array | None,
    search: Callable[..., Any],
) -> Evidence | None:
    """Evidence of K targets, on the host, or None where the digits are not there either.

    ``scatter`` is a `FisherScatter` of the samples, or in the dual form (n <= d) of the features,
    as rows. ``moments`` (d, K) and ``targets`` (K,) are the cross moments of centred features and
    targets and the sums of these; in the dual form ``targets`` (n, K) are the targets themselves.
    ``squares`` (K,) are the targets' y.y. The rows of ``loud`` are further ones, not in the scatter
    and ``moments``; ``of_loud`` their targets where the rows are samples. ``search`` is the op.
    """
    factor = _factored(scatter, loud)
    if factor is None:
        return None
    if dual:
        if len(factor.order) < n_samples:
            return None  # an empty sample, or one of equal features
        targets = beside(factor.first, targets)
        graded, coordinates, rest = _in_samples(factor, targets)
    else:
        graded, coordinates, rest = _in_features(factor, moments, targets, squares, of_loud)
    split = _without_loud(graded, coordinates)
    if split is None:
        return None
    quiet, coordinates, s, p = split
    if isinstance(rule, LargestEvidence):
        known = Known(s, p, rest)
        found = search(quiet, coordinates, squares, n_samples, n_features, rule, True, known)
        result = Evidence(*(on_host(values) for values in astuple(found)))
        if not np.isfinite(result.evidences).all():
            return None
    else:
        xp = array_namespace(quiet)
        values, vectors = xp.linalg.eigh(quiet)
        values, parts = on_host(values), on_host((vectors.T @ coordinates) ** 2)
        error = rounding_error((values * values).sum() ** 0.5, on_host(quiet.diagonal()))
        if not values.min() > len(values) * error:
            return None
        s, p = np.append(s, values), np.concatenate([p, parts])
        result = fixed_points(s, p, rest, n_samples, n_features, rule)
        if not certain(result.ratios, values, 0, error).all():
            return None
    return result if factor.certain(result.ratios.min(initial=np.inf)) else None


@dataclass(frozen=True)
class _Factor:
    """The matrix R.

    Parameters
    ----------
    first : (k,) array
        sqrt(N) times the mean.
    lower : (r, r) array
        Cholesky factor of the centred Gram matrix of the columns that vary, scaled.
    scale : (r,) array
        What they were multiplied by.
    order : (r,) integer array
        Which columns they are, loudest first.
    lost : float
        Largest possible square of a column that counts as one without variance.
    n_rows : float
    loud : (m, k) array
        Further rows.
    matrix : (r, r) array
        What `lower` is the factor of.
    error, inverse : float
        Estimated spectral norms of the matrix's error and of its inverse.
    rotates : bool
        Whether the mean may be rotated into the factor row by row.
    """

    first: Any
    lower: Any
    scale: Any
    order: np.ndarray
    lost: float
    n_rows: float
    loud: Any
    matrix: Any
    error: float
    inverse: float
    rotates: bool

    def certain(self, ratio: float) -> bool:
        """Whether the matrix's error, or what was left out, is small in evidences at t = ratio."""
        if not self.lost <= GRAM_ERROR * ratio:
            return False
        if self.error * self.inverse <= GRAM_ERROR or np.isinf(ratio):
            return True
        # Scaled like the features, G + t I is the matrix + t scale^2, and more by the mean's part.
        xp = array_namespace(self.matrix)
        lower = xp.linalg.cholesky(self.matrix + xp.diag(ratio * self.scale**2))
        return self.error * _largest_inverse(lower) <= GRAM_ERROR

    def rows(self) -> Array:
        """R, further rows last, without columns of zeros."""
        xp = array_namespace(self.first)
        others = np.setdiff1d(np.arange(len(self.first)), self.order)
        rest = xp.concatenate([self.first[None, :], self.loud])[:, others]
        rest = rest[:, np.flatnonzero(on_host(rest).any(axis=0))]
        lower = self.lower / self.scale[:, None]
        varying = [self.first[None, self.order], lower.T, self.loud[:, self.order]]
        zeros = 0.0 * (self.scale[:, None] * rest[:1])
        return xp.concatenate(
            [xp.concatenate(varying), xp.concatenate([rest[:1], zeros, rest[1:]])], axis=1
        )


def _factored(scatter: Any, loud: Array) -> _Factor | None:
    """The factor, or None where the scaled centred Gram matrix itself has lost its digits."""
    xp = array_namespace(scatter.shift)
    n_rows = float(scatter.counts.sum())
    mean = scatter.shifted_sums.sum(axis=0) / n_rows
    raw = on_host(scatter.shifted_gram.diagonal())
    spread = raw - n_rows * on_host(mean) ** 2
    varies = spread > FLAT * raw
    lost = float((FLAT * raw[~varies]).sum())
    order = np.flatnonzero(varies)
    order = order[np.argsort(-spread[order], kind="stable")]
    first = n_rows**0.5 * (scatter.shift + mean)
    if len(order) == 0:
        empty = scatter.shifted_gram[:0, :0]
        return _Factor(
            first, empty, empty.diagonal(), order, lost, n_rows, loud, empty, 0.0, 0.0, False
        )
    scale = beside(mean, 2.0 ** -np.round(0.5 * np.log2(spread[order])))
    gram = xp.triu(scatter.shifted_gram)
    gram = (gram + xp.triu(gram, 1).T)[:, order][order] * scale[:, None] * scale
    mean = mean[order] * scale
    matrix = gram - xp.outer(n_rows * mean, mean)
    pivot, rotates = _pivot(on_host(first), order, matrix, on_host(scale))
    if rotates:
        reordered = np.argsort(-on_host(pivot), kind="stable")
        order, scale, gram = order[reordered], scale[reordered], gram[reordered][:, reordered]
        matrix = matrix[reordered][:, reordered]
    try:
        lower = xp.linalg.cholesky(matrix)
    except (np.linalg.LinAlgError, RuntimeError):  # not positive definite
        return None
    # Errors are those of the sums around the shift, which may be larger than the spread.
    error = (
        rounding_error(0.0, on_host(gram.diagonal())) + EPS * float((matrix * matrix).sum()) ** 0.5
    )
    inverse = _largest_inverse(lower)
    if not error * inverse <= RESOLVED:
        return None
    return _Factor(first, lower, scale, order, lost, n_rows, loud, matrix, error, inverse, rotates)


def _pivot(first: Array, order: Array, matrix: Array, scale: Array) -> tuple[Array, bool]:
    """Keys (r,) that order the columns, and whether the mean may be rotated into the factor.

    It may where one column, the loudest, takes the mean with it: where what is left of the others
    without that column's direction is their spread rather than their mean.
    """
    inner = first[order]
    spread = on_host(matrix.diagonal()) / scale**2
    p = int((inner**2 + spread).argmax())
    flat = np.delete(first, order)
    if (flat**2).max(initial=0.0) > inner[p] ** 2 + spread[p]:
        return spread, False
    cross = on_host(matrix[p]) / (scale[p] * scale)
    share = (inner[p] * inner + cross) / (inner[p] ** 2 + spread[p])
    of_mean = (inner - share * inner[p]) ** 2
    of_spread = np.maximum(spread - 2.0 * share * cross + share**2 * spread[p], 0.0)
    keys = of_mean + of_spread
    keys[p] = np.inf
    others = ((flat - (inner[p] * flat / (inner[p] ** 2 + spread[p])) * inner[p]) ** 2).sum()
    of_mean[p] = 0.0
    return keys, bool(of_mean.sum() + others <= LOUD * of_spread.sum())


def _largest_inverse(lower: Array) -> float:
    """Norm of the inverse of L L^T, by a few inverse iterations, twice the estimate."""
    start = np.random.default_rng(0).normal(size=(len(lower), 4))
    x, norm = beside(lower, start), 0.0
    for _ in range(6):
        x = x / (x * x).sum(axis=0) ** 0.5
        x = _solve(lower, _solve(lower, x), transposed=True)
        norm = float(((x * x).sum(axis=0) ** 0.5).max())
    return 2.0 * norm


def _solve(lower: Array, columns: Array, transposed: bool = False) -> Array:
    """L^-1 or L^-T times the columns."""
    if is_tensor(lower):
        solve = array_namespace(lower).linalg.solve_triangular
        return (
            solve(lower.T, columns, upper=True)
            if transposed
            else solve(lower, columns, upper=False)
        )
    from scipy.linalg import solve_triangular  # slow to import

    return solve_triangular(lower, columns, trans=int(transposed), lower=True)


def _in_features(
    factor: _Factor, moments: Array, sums: Array, squares: Array, of_loud: Array
) -> tuple[Array, Array, Array]:
    """R R^T in a basis in which it is graded, the targets' coordinates, what is left of y.y."""
    xp = array_namespace(factor.first)
    inside = _solve(factor.lower, factor.scale[:, None] * moments[factor.order])
    first = beside(inside, sums)[None, :] / factor.n_rows**0.5
    z = xp.concatenate([first, inside, beside(inside, of_loud)])
    if factor.rotates and len(factor.loud) == 0:
        graded, coordinates, outside = _rotated(factor.rows(), z)
    else:
        graded, coordinates, outside = _graded(factor.rows(), z)
    return graded, coordinates, outside + np.maximum(squares - on_host((z * z).sum(axis=0)), 0.0)


def _in_samples(factor: _Factor, targets: Array) -> tuple[Array, Array, Array]:
    """The same in the dual form, from R^T R."""
    R = factor.rows()
    return _graded(R.T, targets[factor.order])


def _rotated(matrix: Array, columns: Array) -> tuple[Array, Array, Array]:
    """The same as `_graded` for a row above a triangular matrix, by rotations: O(r^2) work.

    They go from the loudest column on, so that the row is quiet after the first.
    """
    xp = array_namespace(matrix)
    both = xp.concatenate([matrix, columns], axis=1)
    row, rest = both[0], both[1:]
    rank = len(rest)
    for j in range(rank):
        here = rest[j, j:]
        size = (row[0] * row[0] + here[0] * here[0]) ** 0.5
        sine, cosine = row[0] / size, here[0] / size
        rest[j, j:], row = cosine * here + sine * row, (cosine * row - sine * here)[1:]
    n_columns = matrix.shape[1]
    T, coordinates = rest[:, :n_columns], rest[:, n_columns:]
    outside = row[n_columns - rank :]
    if n_columns > rank:  # columns without variance: what is left of the row is another one
        last = xp.concatenate([0.0 * T[0, :rank], row[: n_columns - rank]])
        T = xp.concatenate([T, last[None, :]])
        coordinates, outside = xp.concatenate([coordinates, outside[None, :]]), 0.0 * outside
    gram = T @ T.T
    order = np.argsort(-on_host(gram.diagonal()), kind="stable")
    return gram[order][:, order], coordinates[order], on_host(outside * outside)


def _graded(matrix: Array, columns: Array) -> tuple[Array, Array, Array]:
    """T T^T, graded, and Q^T columns for a pivoted factorisation Q T of the matrix; the rest."""
    xp = array_namespace(matrix)
    # Loud rows first: Householder's QR then leaves the quiet ones their digits.
    rows = np.argsort(-on_host((matrix * matrix).sum(axis=1)), kind="stable")
    both = xp.concatenate([matrix[:, _pivots(matrix)], columns], axis=1)[rows]
    upper = xp.linalg.qr(both, mode="r")
    upper = upper[1] if isinstance(upper, tuple) else upper
    n_columns = matrix.shape[1]
    rank = min(matrix.shape)
    T = xp.triu(upper[:rank, :n_columns])
    outside = upper[rank:, n_columns:]
    return T @ T.T, upper[:rank, n_columns:], on_host((outside * outside).sum(axis=0))


def _pivots(matrix: Array) -> Array:
    """Order of the columns by what is left of them after the loudest few."""
    left = matrix
    first: list[int] = []
    for _ in range(min(PIVOTS, matrix.shape[1])):
        squares = (left * left).sum(axis=0)
        squares[first] = -1.0
        first.append(int(squares.argmax()))
        direction = left[:, first[-1]]
        size = float(squares[first[-1]])
        if not size > 0.0:
            break
        left = left - direction[:, None] * ((direction @ left) / size)
    squares = on_host((left * left).sum(axis=0))
    squares[first] = -1.0
    order = np.argsort(-squares, kind="stable")
    return np.concatenate([first, order[: len(order) - len(first)]])


def _without_loud(graded: Array, coordinates: Array) -> tuple[Array, Array, Array, Array] | None:
    """Both without the loud directions, these' eigenvalues (m,) and squared coordinates (m, K).

    None where the rotations that split them off do not converge.
    """
    values, parts = [np.empty(0)], [np.empty((0, coordinates.shape[1]))]
    while (m := _loud(on_host(graded.diagonal()))) > 0:
        split = _split(graded, coordinates, m)
        if split is None:
            return None
        s, p, graded, coordinates = split
        values.append(s)
        parts.append(p)
    return graded, coordinates, np.concatenate(values), np.concatenate(parts)


def _loud(diagonal: Array) -> int:
    """How many leading directions are louder than the others, the fewest; 0 if none are."""
    quiet = np.cumsum(diagonal[::-1])[::-1]
    least = np.minimum.accumulate(diagonal)
    for m in range(1, min(MOST_LOUD, len(diagonal) - 1) + 1):
        if diagonal[:m].max() > MOST_GRADED * least[m - 1]:
            return 0
        if least[m - 1] > LOUD * quiet[m]:
            return m
    return 0


def _split(matrix: Array, columns: Array, m: int) -> tuple[Array, Array, Array, Array] | None:
    """Eigenvalues of the first m directions, squared parts; matrix and columns without them.

    With [I; P] spanning the loud directions' invariant subspace, P is the fixed point of
    P = (H + B P - P H^T P) A^-1 for the blocks A, H^T, H and B.
    """
    xp = array_namespace(matrix)
    A, H, B = matrix[:m, :m], matrix[m:, :m], matrix[m:, m:]
    P = 0.0 * H
    for _ in range(MOST_ROUNDS):
        following = xp.linalg.solve(A, (H + B @ P - P @ (H.T @ P)).T).T
        change = float(abs(following - P).max())
        P = following
        if change <= 4.0 * EPS * float(abs(P).max()):
            break
    else:
        return None
    # The loud ones, with the basis [I; P] (I + P^T P)^-1/2.
    overlap = P.T @ P
    sigma, V = xp.linalg.eigh(overlap)
    sigma = 1.0 + xp.clip(sigma, 0.0, None)
    root = (V / sigma**0.5) @ V.T
    HP = H.T @ P
    loud = root @ (A + HP + HP.T + P.T @ (B @ P)) @ root
    s, U = xp.linalg.eigh(loud)
    part = (U.T @ (root @ (columns[:m] + P.T @ columns[m:]))) ** 2
    # The quiet ones, with [-P^T; I] (I + P P^T)^-1/2, of which the root is I - P F P^T.
    F = (V / (sigma**0.5 * (1.0 + sigma**0.5))) @ V.T
    PH = P @ H.T
    quiet = B - PH - PH.T + P @ A @ P.T
    quiet = quiet - (quiet @ P) @ F @ P.T
    quiet = quiet - P @ F @ (P.T @ quiet)
    rest = columns[m:] - P @ columns[:m]
    rest = rest - P @ (F @ (P.T @ rest))
    return on_host(s), on_host(part), 0.5 * (quiet + quiet.T), rest
