"""NCTI: scikit-learn's discriminant on an exact PCA, zoos, what is undefined."""

import warnings

import numpy as np
import pytest
from conftest import make_problem
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_limits

import transfer_kernels as tk
from transfer_kernels.metrics.ncti import NCTI, combine, ncti

CASES = (
    "balanced10 wide binary many_imbalanced singleton duplicate_rows constant_features "
    "large_offset relu_sparse float64 low_rank hard easy noncontiguous breast_cancer_std "
    "iris_std iris_raw theta_edge"
).split()


def by_scikit_learn(X, y, n_components=64):
    """The published recipe in float64, its PCA exact and without axes that do not vary."""
    X = np.asarray(X, np.float64)
    pca = PCA(min(n_components, *X.shape), svd_solver="full")
    Z = pca.fit_transform(X)
    shrinkage = max(np.exp(-pca.explained_variance_[:32].sum()), 1e-10)
    if shrinkage == 1e-10:
        Z = Z[:, pca.explained_variance_ > 1e-12 * pca.explained_variance_[0]]
        discriminant = LinearDiscriminantAnalysis(solver="svd")
    else:
        discriminant = LinearDiscriminantAnalysis(solver="eigen", shrinkage=float(shrinkage))
    F = discriminant.fit_transform(Z, y)
    P = discriminant.predict_proba(Z)
    classes, codes = np.unique(y, return_inverse=True)
    norms = sum(np.linalg.norm(P[codes == c], ord="nuc") for c in range(len(classes)))
    return NCTI(
        np.linalg.norm(F - F.mean(axis=0), ord="nuc"),
        P[np.arange(len(y)), codes].mean(),
        np.log(norms),
    )


def assert_same(found, expected, relative):
    for part in ("seli", "ncc", "vc"):
        assert getattr(found, part) == pytest.approx(getattr(expected, part), rel=relative), part


_expected: dict[tuple[str, float], NCTI] = {}


def expected(case, scale, X, y):
    """By scikit-learn, once for all backends."""
    if (case, scale) not in _expected:
        # BLAS's threads would spin for one another beside other processes.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", UserWarning)  # of a class with a single sample
            _expected[case, scale] = by_scikit_learn(scale * X.astype(np.float64), y)
    return _expected[case, scale]


#: All shrinkages: the features as they are, and the same smaller and larger.
SCALED = [(case, 1.0) for case in CASES] + [
    (case, scale) for case in ("wide", "many_imbalanced", "low_rank") for scale in (0.05, 30.0)
]


@pytest.mark.parametrize(("case", "scale"), SCALED)
def test_equals_scikit_learn_on_an_exact_pca(goldens, backend, case, scale):
    arrays = goldens["arrays"](case)
    X, y = arrays["X"], arrays["y"]
    found = ncti(scale * X.astype(np.float64), y, backend=backend)
    assert_same(found, expected(case, scale, X, y), 1e-10)


def test_few_components(backend):
    X, y = make_problem(150, 20, 6)
    for n_components in (1, 3, 7):
        expected = by_scikit_learn(X, y, n_components)
        assert_same(ncti(X, y, n_components, backend=backend), expected, 1e-10)


def test_labels_of_any_kind():
    X, y = make_problem(120, 9, 4)
    names = np.array(["d", "b", "a", "c"])[y]
    assert_same(ncti(X, names), ncti(X, y), 1e-12)
    marked = np.where(np.arange(120) < 20, -1, y)
    assert_same(ncti(X, marked, ignore_label=-1), ncti(X[20:], y[20:]), 1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e30, 1e300])
def test_features_of_any_size(backend, scale):
    """Tiny ones are shrunk to a nearest class mean, huge ones not at all."""
    X, y = make_problem(120, 10, 4, dtype=np.float64)
    found = ncti(scale * X, y, backend=backend)
    like = ncti((1e-5 if scale < 1.0 else 1e5) * X, y, backend=backend)
    assert_same(found, like, 1e-6)


def test_features_without_a_discriminant(backend):
    y = np.arange(12) % 3
    with pytest.raises(ValueError, match="the features do not vary"):
        ncti(np.ones((12, 4)), y, backend=backend)
    with pytest.raises(ValueError, match="no class varies within itself"):
        ncti(np.eye(3)[y], y, backend=backend)
    with pytest.raises(ValueError, match="n_components=0 is out of range"):
        ncti(np.ones((12, 4)), y, 0, backend=backend)


def test_scores_of_a_zoo(goldens):
    arrays = goldens["arrays"]("zoo")
    zoo, y = {f"m{i}": arrays[f"X{i}"] for i in range(6)}, arrays["y"]
    parts = {name: ncti(X, y) for name, X in zoo.items()}
    table = np.array([[p.seli, p.ncc, p.vc] for p in parts.values()])
    scaled = (table - table.min(axis=0)) / (table.max(axis=0) - table.min(axis=0))
    found = tk.rank(zoo, y, metrics="ncti").column("ncti")
    expected = dict(zip(parts, scaled @ [1.0, 1.0, -1.0], strict=True))
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_model_has_no_score():
    X, y = make_problem(60, 5, 3)
    assert tk.score(X, y, "ncti") == {
        f"ncti.{part}": value for part, value in vars(ncti(X, y)).items()
    }
    with pytest.raises(ValueError, match="ncti compares models: use rank"):
        tk.metrics.METRICS["ncti"](X, y)


def test_a_part_that_is_equal_for_all_counts_as_nothing():
    parts = {
        "seli": np.array([1.0, 3.0]),
        "ncc": np.array([0.5, 0.5]),
        "vc": np.array([2.0, 1.0]),
    }
    with pytest.warns(tk.UninformativeScoreWarning, match=r"ncti\.ncc is the same"):
        assert combine(parts).tolist() == [-1.0, 1.0]
