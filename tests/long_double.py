"""Singular values and LogME's largest evidence in the platform's long double, to test against."""

import numpy as np

WIDE = np.longdouble
#: Whether long double is wider than float64.
IS_WIDE = np.finfo(WIDE).eps < 1e-3 * np.finfo(np.float64).eps


def singular_vectors(X):
    """Left singular vectors (n, r) and values (r,) of X by one-sided Jacobi, r = min(n, d).

    Rotations of disjoint pairs of columns are taken at once, in the rounds of a tournament.
    """
    wide = X.shape[1] > X.shape[0]
    A = np.array(X.T if wide else X, dtype=WIDE)
    V = np.eye(A.shape[1], dtype=WIDE)
    odd = A.shape[1] % 2
    if odd:
        A, V = np.pad(A, ((0, 0), (0, 1))), np.pad(V, ((0, 1), (0, 1)))
    k = A.shape[1]
    for _ in range(60):
        worst = 0.0
        order = np.arange(k)
        for _ in range(k - 1):
            i, j = order[: k // 2], order[: k // 2 - 1 : -1]
            a, b, c = ((A[:, p] * A[:, q]).sum(axis=0) for p, q in ((i, i), (j, j), (i, j)))
            with np.errstate(all="ignore"):
                angle = np.where(c == 0.0, WIDE(0), abs(c) / np.sqrt(a * b))
                zeta = (b - a) / (2 * c)
                t = np.where(zeta < 0, WIDE(-1), WIDE(1)) / (abs(zeta) + np.sqrt(1 + zeta * zeta))
            t = np.where(angle > 0.0, t, WIDE(0))
            worst = max(worst, float(np.nan_to_num(angle).max()))
            cosine = 1 / np.sqrt(1 + t * t)
            for M in (A, V):
                M[:, i], M[:, j] = (
                    cosine * (M[:, i] - t * M[:, j]),
                    cosine * (t * M[:, i] + M[:, j]),
                )
            order = np.r_[order[0], np.roll(order[1:], 1)]
        if worst < 8.0 * np.finfo(WIDE).eps:
            break
    s = np.sqrt((A * A).sum(axis=0))
    kept = np.argsort(-s)[: k - odd]
    with np.errstate(all="ignore"):
        left = V[:, kept] if wide else A[:, kept] / s[kept]
    return np.nan_to_num(left[: len(X)]), s[kept]


def largest_evidences(X, targets):
    """Largest evidence of each target (n, K), by every local minimum on a grid of ln t, refined."""
    n, d = X.shape
    left, sigma = singular_vectors(X)
    kept = sigma > max(n, d) * np.finfo(WIDE).eps * sigma.max()
    left, s = left[:, kept], sigma[kept] ** 2
    values = []
    for y in np.array(targets, dtype=WIDE).T:
        coordinates = left.T @ y
        outside = y - left @ coordinates
        outside -= left @ (left.T @ outside)
        p, rest = coordinates**2, (outside**2).sum() * (len(s) < n)

        def cost(x, p=p, rest=rest):
            ratio = s[:, None] * np.exp(-np.atleast_1d(x))
            q = (p[:, None] / (1 + ratio)).sum(axis=0) + rest
            return np.log1p(ratio).sum(axis=0) + n * np.log(q / n)

        grid = np.arange(np.log(s.min()) - 80, np.log(s.max()) + 20, 0.25, dtype=WIDE)
        costs = cost(grid)
        best = n * np.log((y @ y) / n)  # the null model
        if len(s) == n:  # the model without noise
            best = min(best, np.log(s).sum() + n * np.log((p / s).sum() / n))
        for k in np.flatnonzero((costs[1:-1] < costs[:-2]) & (costs[1:-1] <= costs[2:])) + 1:
            low, high = grid[k - 1], grid[k + 1]
            while high - low > 1e-8:
                third = (high - low) / 3
                a, b = cost(np.array([low + third, high - third]))
                low, high = (low, high - third) if a < b else (low + third, high)
            best = min(best, cost(low)[0])
        values.append(-(best / n + 1 + np.log(2 * WIDE(np.pi))) / 2)
    return np.array(values, dtype=np.float64)
