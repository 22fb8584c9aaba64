"""Plain NumPy versions of the metrics, in the style of the published implementations.

Each follows its paper's formulas with the library calls and the order of work that the published
code is known for: a decomposition per fit, one pass over the features per class or target, the
matrices of mixed features and of all pairs in full. They are the baselines of the benchmarks, and
an oracle of the tests that shares no line with the package. None of them writes to its arguments.

Labels are integers from 0; where a class index below the largest does not occur, each does what its
model does (see there).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, optimize
from scipy.stats import spearmanr

LOG_TWO_PI = np.log(2.0 * np.pi)


class Evidence(NamedTuple):
    """Log evidence per sample, precisions (K,) and weights (K, d) of the targets."""

    evidences: np.ndarray
    alphas: np.ndarray
    betas: np.ndarray
    weights: np.ndarray | None = None

    @property
    def score(self) -> float:
        """Mean over the targets: the LogME score."""
        return float(np.mean(self.evidences))


def class_targets(y, occurring_only=False):
    """One-hot target columns of the labels, one at a time, as float64 vectors (n,)."""
    y = np.asarray(y)
    for c in np.unique(y) if occurring_only else range(int(y.max()) + 1):
        yield (y == c).astype(np.float64)


def regression_targets(Y):
    """Columns of the regression targets (n,) or (n, K), one at a time, as float64 vectors (n,)."""
    Y = np.asarray(Y, dtype=np.float64)
    yield from Y.reshape(len(Y), -1).T


def logme(X, y, variant="thuml", regression=False) -> Evidence:
    """LogME of features (n, d) by one of the published implementations' rules.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) integer labels, or regression targets (n,) or (n, K)
    variant : {"thuml", "thuml-full-spectrum", "thuml-icml", "tllib", "transformer-ranker"}
        "thuml" is the fixed point of the journal version (You et al., JMLR 2022); with fewer
        samples than features it leaves (d - k) ln(alpha) out of the log determinant, which
        "thuml-full-spectrum" puts in. "thuml-icml" and "tllib" are the conference version (ICML
        2021) with and without an epsilon. All of these count an absent class index as a target of
        zeros; "transformer-ranker" leaves it out, starts each class where the last one ended, and
        takes the constant (n / 2) ln(2 pi) in float32.
    regression : bool
        Whether `y` holds regression targets.
    """
    X = np.asarray(X).astype(np.float64)
    occurring_only = variant == "transformer-ranker"
    targets = regression_targets(y) if regression else class_targets(y, occurring_only)
    if variant in ("thuml", "thuml-full-spectrum"):
        return _logme_fixed_point(X, targets, full_spectrum=variant == "thuml-full-spectrum")
    if variant in ("thuml-icml", "tllib"):
        return _logme_icml(X, targets, epsilon=1e-5 if variant == "thuml-icml" else 0.0)
    if variant == "transformer-ranker":
        return _logme_warm_start(X, targets)
    raise ValueError(f"unknown variant {variant!r}")


def _thin_svd(X):
    """U, singular values and V^T of the kept directions; by way of X^T X when X is tall."""
    n, d = X.shape
    if n > d:
        _, squares, Vt = np.linalg.svd(X.T @ X)
        s = np.sqrt(squares)
        kept = int(np.sum(s > 1e-10))
        return (X @ Vt[:kept].T) / s[:kept], s[:kept], Vt[:kept]
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    kept = int(np.sum(s > 1e-10))
    return U[:, :kept], s[:kept], Vt[:kept]


def _iterate(sigma, z2, outside, n, d, constant, alpha=1.0, beta=1.0):
    """Fixed point of one target with squared projections z2 on the left singular vectors.

    ``outside`` is the squared norm of the target outside their span, ``constant`` (n / 2) ln(2 pi).
    Returns the evidence per sample, alpha, beta and the t of the last round.
    """
    for _ in range(11):
        t = alpha / beta
        gamma = np.sum(sigma / (sigma + t))
        weight_norm = np.sum(sigma * z2 / (t + sigma) ** 2)
        residual = np.sum(z2 / (1.0 + sigma / t) ** 2) + outside
        alpha = gamma / (weight_norm + 1e-5)
        beta = (n - gamma) / (residual + 1e-5)
        evidence = (
            0.5 * d * np.log(alpha)
            + 0.5 * n * np.log(beta)
            - 0.5 * np.sum(np.log(alpha + beta * sigma))
            - 0.5 * beta * residual
            - 0.5 * alpha * weight_norm
            - constant
        ) / n
        if abs(alpha / beta - t) / t <= 1e-3:
            break
    return evidence, alpha, beta, t


def _logme_fixed_point(X, targets, full_spectrum):
    n, d = X.shape
    U, s, Vt = _thin_svd(X)
    sigma = s**2
    constant = 0.5 * n * LOG_TWO_PI
    evidences, alphas, betas, weights = [], [], [], []
    for target in targets:
        z = U.T @ target
        z2 = z**2
        outside = np.sum(target**2) - np.sum(z2)
        evidence, alpha, beta, t = _iterate(sigma, z2, outside, n, d, constant)
        if full_spectrum:
            evidence -= 0.5 * (d - len(s)) * np.log(alpha) / n
        evidences.append(evidence)
        alphas.append(alpha)
        betas.append(beta)
        weights.append(Vt.T @ (s * z / (t + sigma)))
    return Evidence(np.array(evidences), np.array(alphas), np.array(betas), np.array(weights))


def _logme_icml(X, targets, epsilon):
    n, d = X.shape
    V, sigma, Vt = np.linalg.svd(X.T @ X)
    evidences, alphas, betas = [], [], []
    for target in targets:
        alpha = beta = 1.0
        ratio = alpha / beta
        projected = Vt @ (X.T @ target)
        for _ in range(11):
            gamma = np.sum(sigma / (sigma + ratio))
            weights = V @ (projected * beta / (alpha + beta * sigma))
            weight_norm = np.sum(weights**2)
            alpha = gamma / (weight_norm + epsilon)
            residual = np.sum((target - X @ weights) ** 2)
            beta = (n - gamma) / (residual + epsilon)
            previous, ratio = ratio, alpha / beta
            if abs(ratio - previous) / previous < 0.01:
                break
        evidences.append(
            (
                0.5 * d * np.log(alpha)
                + 0.5 * n * np.log(beta)
                - 0.5 * np.sum(np.log(alpha + beta * sigma))
                - 0.5 * beta * (residual + epsilon)
                - 0.5 * alpha * (weight_norm + epsilon)
                - 0.5 * n * LOG_TWO_PI
            )
            / n
        )
        alphas.append(alpha)
        betas.append(beta)
    return Evidence(np.array(evidences), np.array(alphas), np.array(betas))


def _logme_warm_start(X, targets):
    n, d = X.shape
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    sigma = s**2
    constant = np.float64(np.float32(0.5 * n) * np.float32(LOG_TWO_PI))
    alpha = beta = 1.0
    evidences, alphas, betas = [], [], []
    for target in targets:
        z2 = (U.T @ target) ** 2
        outside = np.sum(target**2) - np.sum(z2)
        evidence, alpha, beta, _ = _iterate(sigma, z2, outside, n, d, constant, alpha, beta)
        evidences.append(evidence)
        alphas.append(alpha)
        betas.append(beta)
    return Evidence(np.array(evidences), np.array(alphas), np.array(betas))


class FisherDiscriminant:
    """Regularised Fisher discriminant of SFDA (Shao et al., ECCV 2022): fit, then `probabilities`.

    Parameters
    ----------
    shrinkage : float, optional
        Share of the identity in the within-class covariance; estimated from it when absent.
    """

    def __init__(self, shrinkage=None):
        self.shrinkage = shrinkage

    def fit(self, X, y):
        X, y = np.asarray(X), np.asarray(y)
        n, d = X.shape
        classes, counts = np.unique(y, return_counts=True)
        priors = counts / n
        means = np.stack([X[y == c].mean(axis=0, dtype=np.float64) for c in classes])
        within = np.zeros((d, d))
        for c, prior in zip(classes, priors, strict=True):
            within += prior * np.cov(X[y == c], rowvar=False, bias=True)
        total = np.cov(X, rowvar=False, bias=True)
        between = total - within
        if self.shrinkage is None:
            self.shrinkage = max(np.exp(-5.0 * largest_eigenvalue(within)), 1e-10)
        shrunk = (1.0 - self.shrinkage) * within
        shrunk.flat[:: d + 1] += self.shrinkage * np.trace(within) / d
        self.coef = fisher_coefficients(between, shrunk, means)
        self.intercept = -0.5 * np.diag(means @ self.coef.T) + np.log(priors)
        return self

    def probabilities(self, X):
        """(n, C) softmax of the discriminants."""
        return softmax(X @ self.coef.T + self.intercept)


def fisher_coefficients(between, within, means):
    """(C, d) coefficients by all generalised eigenvectors of the scatter matrices."""
    eigenvalues, vectors = linalg.eigh(between, within)
    vectors = vectors[:, np.argsort(eigenvalues)[::-1]]
    return means @ vectors @ vectors.T


def largest_eigenvalue(A):
    """SFDA's estimate: three rounds of two normalised power steps from the row sums."""
    x = A.sum(axis=1)
    for _ in range(3):
        y = A @ x
        y /= np.linalg.norm(y)
        x = A.T @ y
        x /= np.linalg.norm(x)
    return x @ A.T @ y


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sfda(X, y) -> float:
    """SFDA score: mean posterior of the true class after Confidential Mixing.

    Parameters
    ----------
    X : (n, d) array
        The mixed features keep its precision, as where the published code overwrites X with them.
    y : (n,) integers, each of 0..C-1 at least once
    """
    X, y = np.asarray(X), np.asarray(y)
    n, n_classes = len(y), int(y.max()) + 1
    first = FisherDiscriminant().fit(X, y)
    confidence = softmax(first.probabilities(X))

    means = np.stack([X[y == c].mean(axis=0, dtype=np.float64) for c in range(n_classes)])
    mixed = X.copy()
    for c in range(n_classes):
        others = np.delete(means, c, axis=0).mean(axis=0)
        own = y == c
        q = confidence[own, c][:, None]
        mixed[own] = q * X[own] + (1.0 - q) * others

    second = FisherDiscriminant(first.shrinkage).fit(mixed, y)
    return float(np.mean(second.probabilities(mixed)[np.arange(n), y]))


def class_means(X, y):
    """(n, d) each sample's class mean."""
    means = np.stack([X[y == c].mean(axis=0) for c in range(int(y.max()) + 1)])
    return means[y]


def hscore(X, y) -> float:
    """H-score (Bao et al., ICIP 2019) by a pseudo-inverse of the covariance."""
    X = np.asarray(X, np.float64)
    between = np.cov(class_means(X, y), rowvar=False)
    return float(np.trace(np.linalg.pinv(np.cov(X, rowvar=False), rcond=1e-15) @ between))


def regularised_hscore(X, y) -> float:
    """H-score with Ledoit and Wolf's covariance (Ibrahim et al., ECML-PKDD 2022)."""
    from sklearn.covariance import LedoitWolf

    X = np.asarray(X, np.float64)
    X = X - X.mean(axis=0)
    shrunk = LedoitWolf(assume_centered=True).fit(X)
    between = (1.0 - shrunk.shrinkage_) * np.cov(class_means(X, y), rowvar=False)
    return float(np.trace(linalg.pinvh(shrunk.covariance_) @ between))


def transrate(X, y, eps=1e-4) -> float:
    """TransRate (Huang et al., ICML 2022): coding rates by determinants of (d, d) matrices."""

    def rate(Z):
        return 0.5 * np.linalg.slogdet(np.eye(Z.shape[1]) + Z.T @ Z / (len(Z) * eps))[1]

    Z = np.asarray(X, np.float64)
    Z = Z - Z.mean(axis=0)
    return float(rate(Z) - np.mean([rate(Z[y == c]) for c in range(int(y.max()) + 1)]))


def lfc(X, y) -> float:
    """LFC (Deshpande et al., 2021) by both (n, n) kernels."""
    X = np.asarray(X, np.float64)
    labels = np.where(y[:, None] == y[None, :], 1.0, -1.0)
    kernel = X @ X.T
    kernel -= kernel.mean()
    labels -= labels.mean()
    return float((kernel * labels).sum() / (np.linalg.norm(kernel) * np.linalg.norm(labels)))


def exact_pca(X, n_components):
    """Scores and variances along principal axes, by all eigenvectors of the covariance.

    Published code takes scikit-learn's PCA, which is randomised and therefore quicker for large
    features, and gives values that move by percents with its seed.
    """
    X = np.asarray(X, np.float64)
    X = X - X.mean(axis=0)
    values, axes = np.linalg.eigh(X.T @ X)
    k = min(n_components, *X.shape)
    return X @ axes[:, ::-1][:, :k], values[::-1][:k] / (len(X) - 1)


def gbc(X, y, n_components=64) -> float:
    """GBC (Pándy et al., CVPR 2022) with diagonal covariances, pair after pair, on an exact PCA."""
    Z, _ = exact_pca(X, n_components)
    classes = [Z[y == c] for c in range(int(y.max()) + 1)]
    means = [rows.mean(axis=0) for rows in classes]
    variances = [np.maximum(rows.var(axis=0), 1e-4) for rows in classes]
    total = 0.0
    for i, first in enumerate(variances):
        for j, second in enumerate(variances):
            if i != j:
                middle = (first + second) / 2
                distance = ((means[i] - means[j]) ** 2 / middle).sum() / 8
                logarithms = np.log(first).sum() + np.log(second).sum()
                distance += 0.5 * (np.log(middle).sum() - 0.5 * logarithms)
                total -= np.exp(-distance)
    return float(total)


def gbc_full(X, y, n_components=64) -> float:
    """GBC as Model Spider has it: full covariances, a pseudo-inverse and determinants a pair."""
    Z, _ = exact_pca(X, n_components)
    classes = [Z[y == c] for c in range(int(y.max()) + 1)]
    means, covariances = [rows.mean(axis=0) for rows in classes], [np.cov(r.T) for r in classes]
    total, det = 0.0, np.linalg.det
    for i, first in enumerate(covariances):
        for j, second in enumerate(covariances):
            if i != j:
                middle, apart = (first + second) / 2, means[i] - means[j]
                square = apart @ np.linalg.pinv(middle) @ apart
                below = 1e-5 + np.sqrt(1e-5 + det(first) * det(second))
                total -= np.exp(-square / 8 - np.log(1e-5 + abs(det(middle)) / below) / 2)
    return float(total)


def ncti(X, y, n_components=64) -> tuple[float, float, float]:
    """The parts of NCTI (Wang et al., ICCV 2023) by scikit-learn, on an exact PCA."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    Z, variances = exact_pca(X, n_components)
    shrinkage = max(float(np.exp(-variances[:32].sum())), 1e-10)
    if shrinkage == 1e-10:
        discriminant = LinearDiscriminantAnalysis(solver="svd")
    else:
        discriminant = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
    F = discriminant.fit_transform(Z, y)
    P = discriminant.predict_proba(Z)
    norms = sum(np.linalg.norm(P[y == c], ord="nuc") for c in range(int(y.max()) + 1))
    seli = np.linalg.norm(F - F.mean(axis=0), ord="nuc")
    return float(seli), float(P[np.arange(len(y)), y].mean()), float(np.log(norms))


def emms(X, Y) -> float:
    """EMMS (Meng et al., NeurIPS 2023) by least squares for embeddings (n, D, K) of the samples."""
    n, width, k = Y.shape
    X = np.asarray(X, np.float64)
    X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-8)
    Y = (Y - Y.mean(axis=0)) / (Y.std(axis=0) + 1e-8)
    fit = X @ np.linalg.lstsq(X, Y @ np.full(k, 1 / k), rcond=None)[0]
    weights = np.linalg.lstsq(Y.reshape(n * width, k), fit.reshape(-1), rcond=None)[0]
    ordered = np.sort(weights)[::-1]
    support = np.flatnonzero(1 + np.arange(1, k + 1) * ordered > np.cumsum(ordered))[-1]
    weights = np.maximum(0.0, weights - (ordered[: support + 1].sum() - 1) / (support + 1))
    return float(-((fit - Y @ weights) ** 2).sum() / n * width)


def etran_lda(X, y) -> float:
    """ETran's discriminant (Gholami et al., ICCV 2023): a symmetric solver for what is not so."""
    X = np.asarray(X, np.float64)
    n, d = X.shape
    counts = np.bincount(y)
    means = np.stack([X[y == c].mean(axis=0) for c in range(len(counts))])
    within = sum(k / n * np.cov(X[y == c].T, bias=True) for c, k in enumerate(counts))
    between = np.cov(X.T, bias=True) - within
    _, vectors = np.linalg.eigh(np.linalg.pinv(within) @ between)
    coef = means @ vectors @ vectors.T
    logits = X @ coef.T - 0.5 * np.diag(means @ coef.T) + np.log(counts / n)
    return float(softmax(logits)[np.arange(n), y].mean())


def etran_energy(X, percent=0.5) -> float:
    """ETran's energy (Gholami et al., ICCV 2023): mean log-sum of the lowest samples."""
    from scipy.special import logsumexp

    energies = np.sort(logsumexp(np.asarray(X, np.float64), axis=1))
    return float(energies[: int(10 * percent) * len(X) // 1000].mean())


def fda_score(X, y, n_components=32) -> float:
    """FDA score (Bai et al., 2024): mean posterior of the true class, components of the features.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) integers, each of 0..C-1 at least once
    n_components : int
        Principal components to keep; all where there are no more.
    """
    X = principal_components(np.asarray(X, np.float64), min(n_components, *np.shape(X)))
    posteriors = FisherDiscriminant(shrinkage=0.0).fit(X, y).probabilities(X)
    return float(np.mean(posteriors[np.arange(len(y)), y]))


def parc(X, y, n_components=None, exact_ties=False, solver="randomized") -> float:
    """PARC score (Bolya et al., NeurIPS 2021): 100 times a Spearman correlation over all pairs.

    Parameters
    ----------
    X : (n, d) array
    y : (n,) integer labels, or (n, k) label vectors
    n_components : int, optional
        Principal components to keep, by scikit-learn's PCA with the published settings.
    exact_ties : bool
        Whether distances that are equal but for rounding are tied. The published code leaves the
        rounding noise of `numpy.corrcoef` in the label distances, so that pairs of different
        classes fall into several groups that depend on the class numbers and the machine.
    solver : str
        scikit-learn's ``svd_solver``.
    """
    from sklearn.preprocessing import StandardScaler

    X, y = np.asarray(X), np.asarray(y)
    if n_components is not None:
        X = principal_components(X, n_components, solver)
    features = StandardScaler().fit_transform(X)
    labels = np.eye(int(y.max()) + 1)[y] if y.ndim == 1 else y
    pairs = np.triu_indices(len(X), 1)
    feature_distances = (1.0 - np.corrcoef(features))[pairs]
    label_distances = (1.0 - np.corrcoef(labels))[pairs]
    if exact_ties:
        feature_distances = feature_distances.round(9)
        label_distances = label_distances.round(9)
    return float(spearmanr(feature_distances, label_distances)[0] * 100.0)


def principal_components(X, n_components, solver="randomized"):
    """(n, n_components) projection by scikit-learn's PCA as PARC sets it."""
    from sklearn.decomposition import PCA

    pca = PCA(n_components, svd_solver=solver, iterated_power=1, random_state=1919)
    return pca.fit_transform(X)


def gram(X, weights=None):
    """(d, d) sum of w x x^T in float64 by one product, which NumPy makes a rank-k update."""
    X = np.asarray(X, dtype=np.float64)
    if weights is not None:
        X = X * np.sqrt(weights)[:, None]
    return X.T @ X


def gram_dsyrk(X, weights=None):
    """`gram`, upper triangle only, by SciPy's dsyrk."""
    X = np.asarray(X, dtype=np.float64)
    if weights is not None:
        X = X * np.sqrt(weights)[:, None]
    # X in C order is X^T in Fortran order; its lower triangle, transposed, is the upper one.
    return linalg.blas.dsyrk(1.0, X.T, lower=1).T


def class_sums(X, codes, n_classes, weights=None):
    """(C, d) float64 sum of w x over each class."""
    X = np.asarray(X)
    sums = np.empty((n_classes, X.shape[1]))
    for c in range(n_classes):
        own = np.flatnonzero(codes == c)
        rows = X[own].astype(np.float64)
        sums[c] = rows.sum(axis=0) if weights is None else weights[own] @ rows
    return sums


def self_challenging(X, codes, coef, intercept, mixing=None):
    """Posterior of every sample's own class, and the same after a second softmax, (n,) each."""
    if mixing is not None:
        q, anchors = mixing
        X = q[:, None] * X + (1.0 - q)[:, None] * anchors[codes]
    p = softmax(X @ coef.T + intercept)
    own = np.arange(len(codes)), codes
    return p[own], softmax(p)[own]


def knn(X, y, k=3) -> float:
    """Accuracy of k nearest neighbours, as TransformerRanker has it: distances in blocks, mode."""
    X = np.asarray(X, np.float32)
    squares = (X * X).sum(axis=1)
    right = 0
    for start in range(0, len(X), 1024):
        rows = slice(start, start + 1024)
        distances = np.maximum(squares[rows, None] - 2.0 * (X[rows] @ X.T) + squares, 0.0)
        own = np.arange(*rows.indices(len(X)))
        distances[own - start, own] = np.inf
        nearest = np.argpartition(distances, k, axis=1)[:, :k]
        votes = np.zeros((len(own), int(y.max()) + 1))
        for column in nearest.T:
            votes[np.arange(len(own)), y[column]] += 1.0
        right += int((votes.argmax(axis=1) == y[own]).sum())
    return right / len(X)


def softmax_probe(X, y, scale=1.0, factor=100.0, rounds=100, seed=0) -> tuple[float, float]:
    """PACTran-Gaussian (Ding et al., ECCV 2022) and its linear loss, from a random start.

    As in EMMS' code: loss and gradient each make their own product with the features, and the
    Hessian's diagonal is made of squared features.
    """
    X = np.asarray(X, np.float64)
    X = X - X.mean(axis=0)
    n, d = X.shape
    Y = np.eye(int(y.max()) + 1)[y]
    n_classes = Y.shape[1]

    def probabilities(parameters):
        return softmax(X @ parameters[:d] + parameters[d:])

    def loss(flat):
        parameters = flat.reshape(d + 1, n_classes)
        cross = -(Y * np.log(probabilities(parameters) + 1e-300)).sum() / n
        return cross + 0.5 * (parameters[:d] ** 2).sum() / (n * scale)

    def gradient(flat):
        parameters = flat.reshape(d + 1, n_classes)
        residual = (probabilities(parameters) - Y) / n
        by_coef = X.T @ residual + parameters[:d] / (n * scale)
        return np.vstack([by_coef, residual.sum(axis=0)]).ravel()

    start = np.zeros((d + 1, n_classes))
    start[:d] = 0.03 * np.random.default_rng(seed).normal(size=(d, n_classes))
    options = {"maxiter": rounds}
    found = optimize.minimize(
        loss, start.ravel(), jac=gradient, method="L-BFGS-B", options=options, tol=1e-6
    )
    p = probabilities(found.x.reshape(d + 1, n_classes))
    spread = p * (1.0 - p)
    trace = ((X**2).T @ spread).sum() + spread.sum()
    m = d * n_classes
    part = 0.5 * m / (n * scale) * factor * scale / d * np.log1p(trace * n * scale / m)
    return -float(found.fun), -float(found.fun + part)


def ridge_probe(X, y) -> float:
    """Leave-one-out accuracy of a ridge classifier by the (n, n) hat matrix of each ridge."""
    X = np.asarray(X, np.float64)
    n, d = X.shape
    Y = np.eye(int(y.max()) + 1)[y]
    Z = X - X.mean(axis=0)
    U, singular, _ = np.linalg.svd(Z, full_matrices=False)
    values = singular**2
    best = None
    for ridge in 10.0 ** np.arange(4.0, -6.5, -0.5) * values.sum() / min(n - 1, min(n, d)):
        shrunk = U * (values / (values + ridge))
        fit = Y.mean(axis=0) + shrunk @ (U.T @ Y)
        left = n - 1.0 - (values / (values + ridge)).sum()
        error = ((Y - fit) ** 2).sum() / left**2
        if best is None or error < best[0]:
            best = error, fit, (shrunk * U).sum(axis=1) + 1.0 / n
    _, fit, leverage = best
    predicted = Y - (Y - fit) / (1.0 - leverage)[:, None]
    return float((predicted.argmax(axis=1) == y).mean())


def leep(theta, y) -> float:
    """LEEP as tllib's code has it: by a matrix of target classes and one of samples and classes."""
    n, n_classes = len(theta), int(y.max()) + 1
    joint = np.array([theta[y == c].sum(axis=0) / n for c in range(n_classes)])
    conditional = joint / joint.sum(axis=0)
    expected = theta @ conditional.T
    return float(np.log(expected[np.arange(n), y]).mean())


def pactran(theta, y, prior="dirichlet") -> float:
    """PACTran's bound, negated, as its authors' code has it: an (n, C, Z) product a round."""
    from scipy.special import digamma, gammaln, logsumexp

    own = np.eye(int(y.max()) + 1)[y]
    base = own.mean(axis=0)[:, None] + 1e-10
    log_s, q = np.log(theta + 1e-10), theta
    for _ in range(10):
        weights = base + np.einsum("iy,iz->iyz", own, q).sum(axis=0)
        tilt = digamma(weights) - (digamma(weights.sum(axis=0)) if prior == "dirichlet" else 0.0)
        log_q = log_s + own @ tilt
        log_q = log_q - logsumexp(log_q, axis=1, keepdims=True)
        q = np.exp(log_q)
    bound = (q * (log_q - log_s)).sum()
    if prior == "dirichlet":
        bound += (gammaln(base).sum() - gammaln(base.sum())) * theta.shape[1]
        bound -= (gammaln(weights).sum(axis=0) - gammaln(weights.sum(axis=0))).sum()
        return float(-bound / own.size)
    bound += (gammaln(base) - gammaln(weights)).sum()
    bound += (np.log(theta @ weights.sum(axis=0)) - 1.0).sum()
    return float(-(bound / own.size + 1.0))


def nce(theta, y) -> float:
    """NCE as tllib's code has it: source class by source class."""
    predicted, total = theta.argmax(axis=1), 0.0
    for z in np.unique(predicted):
        shares = np.bincount(y[predicted == z]) / (predicted == z).sum()
        shares = shares[shares > 0]
        total += (predicted == z).mean() * (shares * np.log(shares)).sum()
    return float(total)


def otce(X, y, source) -> float:
    """-CE of OTCE as Model Spider's code has it: POT's plan, summed pair of classes by pair."""
    import ot
    from scipy.spatial.distance import cdist

    Xs, ys = source
    costs = cdist(Xs, X, "sqeuclidean")
    plan = ot.emd(ot.unif(len(Xs)), ot.unif(len(X)), costs, numItermax=10_000_000)
    total = 0.0
    for a in np.unique(ys):
        masses = np.array([plan[np.ix_(ys == a, y == b)].sum() for b in np.unique(y)])
        masses = masses[masses > 0]
        total += (masses * np.log(masses / masses.sum())).sum()
    return float(total)


def mixture_posteriors(X, n_components, seed=0):
    """(n, K) responsibilities by scikit-learn's PCA and mixture, in the precision of X."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    Z = PCA(0.8, svd_solver="full").fit_transform(X)
    return GaussianMixture(n_components, random_state=seed).fit(Z).predict_proba(Z)


def nleep(X, y, n_components, seed=0) -> float:
    """NLEEP as SFDA's code has it: the mean probability by the mixture's components."""
    theta = mixture_posteriors(X, n_components, seed)
    joint = np.array([theta[y == c].sum(axis=0) for c in range(int(y.max()) + 1)])
    conditional = joint / joint.sum(axis=0)
    return float((theta @ conditional.T)[np.arange(len(y)), y].mean())


def rsa(X, R) -> float:
    """RSA as PARC's authors have it: Spearman's correlation over the distances of all pairs."""
    from sklearn.preprocessing import StandardScaler

    pairs = np.triu_indices(len(X), 1)
    features, reference = (
        (1.0 - np.corrcoef(StandardScaler().fit_transform(np.asarray(A, np.float64))))[pairs]
        for A in (X, R)
    )
    return float(spearmanr(features, reference)[0] * 100.0)


def dds(X, R) -> float:
    """DDS as PARC's authors have it: similarity of two (n, n) matrices of cosine distances."""
    from sklearn.metrics.pairwise import cosine_similarity
    from sklearn.preprocessing import StandardScaler

    n = len(X)
    others = 1.0 - np.eye(n)

    def centred(A):
        kernel = 1.0 - cosine_similarity(StandardScaler().fit_transform(np.asarray(A, np.float64)))
        kernel *= others
        means = kernel.sum(axis=0) / (n - 2)
        means -= means.sum() / (2 * (n - 1))
        return (kernel - means[:, None] - means) * others

    K, L = centred(X), centred(R)
    return float(100.0 * (K * L).sum() / (np.linalg.norm(K) * np.linalg.norm(L)))


def ped(X, y, general, nsigma=0.6) -> float:
    """PED on LogME: (C, C, d) arrays of what every class does to every other, then the metric."""
    general = np.asarray(general, np.float64)
    X = np.asarray(X, np.float64)
    deviation = np.maximum(general.std(axis=0), 1e-3)
    Z = (X - general.mean(axis=0)) / deviation
    classes = range(int(y.max()) + 1)
    means = np.array([Z[y == c].mean(axis=0) for c in classes])
    radii = np.array([np.sqrt(Z[y == c].var(axis=0).sum()) for c in classes])
    reach = nsigma * (radii[:, None] + radii)
    moved, first = means.copy(), None
    for _ in range(6):
        lines = moved[:, None] - moved[None]
        distances = np.sqrt((lines**2).sum(axis=2))
        overlap = np.maximum(reach - distances, 0.0)
        share = np.minimum(0.5 * 0.1**2 * overlap, overlap)
        units = lines / np.where(distances > 0.0, distances, 1.0)[:, :, None]
        step = (share[:, :, None] * units).sum(axis=1)
        change = np.abs(step).sum()
        first = first or change
        if not change > 0.5 * first:
            break
        moved = moved + step
    return logme(X + ((moved - means) * deviation)[y], y, "thuml-full-spectrum").score
