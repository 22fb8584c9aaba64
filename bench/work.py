"""Floating-point operations of our algorithms, for features (n, d), C classes and n >= d."""

from __future__ import annotations

#: Columns of the randomised projection beyond those asked for, and its products with the features.
PCA_OVERSAMPLES, PCA_PRODUCTS = 10, 4


def fisher_scatter(n: int, d: int) -> float:
    """One triangle of the Gram matrix."""
    return float(n) * d * (d + 1)


def self_challenging(n: int, d: int, n_classes: int) -> float:
    """The discriminants; the exponentials are not counted."""
    return 2.0 * n * d * n_classes


def logme_evidence(d: int, n_targets: int) -> float:
    """Reduction to tridiagonal form and rotation of the targets."""
    return 4.0 / 3.0 * d**3 + 4.0 * d * d * n_targets


def logme(n: int, d: int, n_classes: int) -> float:
    """Scatter and evidence."""
    return fisher_scatter(n, d) + logme_evidence(d, n_classes)


def sfda(n: int, d: int, n_classes: int) -> float:
    """Twice scatter, within-class correction, Cholesky factor, two solves, discriminants."""
    algebra = 2.0 * d * d * n_classes + d**3 / 3.0 + 2.0 * d * d * n_classes
    return 2.0 * (fisher_scatter(n, d) + algebra + self_challenging(n, d, n_classes))


def hscore(n: int, d: int, n_classes: int) -> float:
    """Scatter, Cholesky factor, one triangular solve."""
    return fisher_scatter(n, d) + d**3 / 3.0 + float(d) * d * n_classes


def transrate(n: int, d: int, n_classes: int) -> float:
    """Scatter and its factor; for each class the smaller of its two Gram matrices, factored."""
    size = min(n / n_classes, float(d))
    one_class = n / n_classes * d * size + size**3 / 3.0
    return fisher_scatter(n, d) + d**3 / 3.0 + n_classes * one_class


def along_axes(n: int, d: int, n_axes: int = 64) -> float:
    """Scatter, reduction to tridiagonal form, back to the wanted axes, and samples along them."""
    m, k = min(n, d), min(n_axes, n, d)
    return fisher_scatter(n, d) + 4.0 / 3.0 * m**3 + 4.0 * m * m * k + 2.0 * n * d * k


def emms(n: int, d: int, n_classes: int, width: int) -> float:
    """Scatter, its factor, two solves, and products with the classes' embeddings."""
    algebra = d**3 / 3.0 + 4.0 * d * d * n_classes + 2.0 * n_classes**2 * width
    return fisher_scatter(n, d) + algebra


def parc_correlation(n: int, d: int) -> float:
    """The products of all pairs of rows; the counting is not floating-point work."""
    return float(n) * (n - 1) * d


def randomized_pca(n: int, d: int, n_components: int) -> float:
    """Products of the features with the projected directions."""
    return PCA_PRODUCTS * 2.0 * n * d * (n_components + PCA_OVERSAMPLES)


def fda_score(n: int, d: int, n_classes: int, n_components: int = 32) -> float:
    """Projection, and one stage of SFDA in its components."""
    p = min(d, n_components)
    algebra = 4.0 * p * p * n_classes + p**3 / 3.0
    stage = fisher_scatter(n, p) + algebra + self_challenging(n, p, n_classes)
    return stage + (randomized_pca(n, d, n_components) if p < d else 0.0)


def parc(n: int, d: int, n_components: int | None) -> float:
    """Projection, where there is one, and pairs."""
    if n_components is None:
        return parc_correlation(n, d)
    return randomized_pca(n, d, n_components) + parc_correlation(n, n_components)
