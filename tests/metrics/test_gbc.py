"""GBC: published values, a plain version written out, what is undefined and what is said then."""

import warnings

import numpy as np
import pytest
from conftest import make_problem
from sklearn.decomposition import PCA

import transfer_kernels as tk

CASES = (
    "balanced10 binary many_imbalanced duplicate_rows large_offset relu_sparse float64 low_rank "
    "hard easy noncontiguous digits_raw breast_cancer_std wine_raw iris_std iris_raw theta_edge"
).split()
#: Float32 values move by so much when the columns are permuted.
FLOAT32 = 1e-3


@pytest.mark.parametrize("case", CASES)
def test_model_spiders_published_value(goldens, backend, case):
    arrays, scores = goldens["arrays"](case), goldens["scores"][case]
    published = scores["gbc_min64"]
    found = tk.gbc(arrays["X"], arrays["y"], variant="modelspider", backend=backend)
    relative = 1e-12 if arrays["X"].dtype == np.float64 else FLOAT32
    assert found == pytest.approx(published, rel=relative)
    if scores.get("gbc") is not None:
        assert scores["gbc"] == published


def exact_scores(X, n_components=64):
    """By a full SVD, in float64."""
    X = np.asarray(X, np.float64)
    return PCA(min(n_components, *X.shape), svd_solver="full").fit_transform(X)


def plain(X, y, covariance, times=None, n_components=64):
    """The formula, pair after pair."""
    Z = exact_scores(X, n_components)
    classes = [Z[y == c] for c in np.unique(y)]
    total = 0.0
    for i, one in enumerate(classes):
        for j, other in enumerate(classes):
            if i != j:
                total += np.exp(-distance(one, other, covariance, times))
    return -total


def distance(one, other, covariance, times):
    apart = one.mean(axis=0) - other.mean(axis=0)
    if covariance == "full":
        first, second = np.cov(one.T), np.cov(other.T)
        middle = (first + second) / 2
        logdets = [np.linalg.slogdet(S)[1] for S in (middle, first, second)]
        square = apart @ np.linalg.solve(middle, apart)
    else:
        first, second = (np.maximum(Z.var(axis=0), 1e-4) for Z in (one, other))
        if covariance == "spherical":
            first, second = (np.full(len(v), v.mean()) for v in (first, second))
        middle = (first + second) / 2
        logdets = [np.log(v).sum() for v in (middle, first, second)]
        if times is not None:
            logdets = [times * value / len(apart) for value in logdets]
        square = (apart**2 / middle).sum()
    return square / 8 + (logdets[0] - (logdets[1] + logdets[2]) / 2) / 2


@pytest.mark.parametrize("covariance", ["diagonal", "spherical"])
@pytest.mark.parametrize("case", ["balanced10", "wide", "many_imbalanced", "float64", "iris_raw"])
def test_equals_the_formula(goldens, backend, case, covariance):
    arrays = goldens["arrays"](case)
    X, y = arrays["X"], arrays["y"]
    expected = plain(X, y, covariance)
    assert tk.gbc(X, y, covariance, backend=backend) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", ["binary", "float64", "iris_raw", "wine_raw"])
def test_full_covariances_equal_the_formula(goldens, backend, case):
    arrays = goldens["arrays"](case)
    X, y = arrays["X"], arrays["y"]
    n_components = min(30, X.shape[1])
    expected = plain(X, y, "full", n_components=n_components)
    found = tk.gbc(X, y, "full", n_components, backend=backend)
    assert found == pytest.approx(expected, rel=1e-9)


def test_published_spherical_code_counts_one_axis(goldens, backend):
    arrays = goldens["arrays"]("balanced10")
    X, y = arrays["X"], arrays["y"]
    found = tk.gbc(X, y, "spherical", variant="published", backend=backend)
    assert found == pytest.approx(plain(X, y, "spherical", times=1), rel=1e-9)
    assert found != pytest.approx(tk.gbc(X, y, "spherical", backend=backend), rel=1e-3)
    same = tk.gbc(X, y, variant="published", backend=backend)
    assert same == tk.gbc(X, y, backend=backend)


def test_guards_swamp_small_determinants(goldens):
    """Why Model Spider's form is no default: it follows the unit by orders of magnitude."""
    arrays = goldens["arrays"]("balanced10")
    X, y = arrays["X"].astype(np.float64), arrays["y"]
    near, far = (tk.gbc(s * X, y, variant="modelspider") for s in (1.0, 10.0))
    assert near < -29.0 and -1e-3 < far < 0.0


def test_axes_beyond_the_rank_are_dropped(goldens, backend):
    """Of 64 axes 20 carry variance, and more than that many samples are in each class."""
    arrays = goldens["arrays"]("low_rank")
    X, y = arrays["X"], arrays["y"]
    found = tk.gbc(X, y, "full", backend=backend)
    assert found == pytest.approx(tk.gbc(X, y, "full", 20, backend=backend), rel=1e-9)
    assert found == pytest.approx(plain(X, y, "full", n_components=20), rel=1e-9)


def test_a_class_without_full_covariance_is_named(backend):
    X, y = make_problem(90, 12, 3)
    names = np.array(["ant", "bee", "cat"])[y]
    few = np.flatnonzero(names == "bee")[9:]
    X, names = np.delete(X, few, axis=0), np.delete(names, few)
    with pytest.raises(ValueError, match="class 'bee' has 9 samples and no full covariance"):
        tk.gbc(X, names, "full", backend=backend)
    assert tk.gbc(X, names, "full", 8, backend=backend) < 0.0
    assert tk.gbc(X, names, backend=backend) < 0.0


def test_a_class_that_does_not_vary_along_an_axis_is_named(goldens, backend):
    arrays = goldens["arrays"]("digits_raw")
    with pytest.raises(ValueError, match="class 0 has 178 samples and no full covariance"):
        tk.gbc(arrays["X"], arrays["y"], "full", backend=backend)


def test_singleton_class(goldens, backend):
    arrays = goldens["arrays"]("singleton")
    X, y = arrays["X"], arrays["y"]
    with pytest.raises(ValueError, match="class 4 has a single sample and no covariance"):
        tk.gbc(X, y, variant="modelspider", backend=backend)
    with pytest.raises(ValueError, match="no full covariance"):
        tk.gbc(X, y, "full", backend=backend)
    for covariance in ("diagonal", "spherical"):
        expected = plain(X, y, covariance)
        assert tk.gbc(X, y, covariance, backend=backend) == pytest.approx(expected, rel=1e-9)


def test_a_large_offset_costs_nothing(backend):
    X, y = make_problem(200, 20, 4, dtype=np.float64)
    X = np.round(X * 2**10) / 2**10
    far = tk.gbc(X + 2.0**20, y, backend=backend)
    assert far == pytest.approx(tk.gbc(X, y, backend=backend), rel=1e-9)


def test_constant_columns_change_nothing(backend):
    X, y = make_problem(120, 10, 3)
    more = np.hstack([X, np.full((120, 3), 7.0, X.dtype)])
    for covariance in ("diagonal", "full"):  # the spherical one is a mean over all axes
        expected = tk.gbc(X, y, covariance, backend=backend)
        assert tk.gbc(more, y, covariance, backend=backend) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_features_of_any_size(backend, scale):
    X, y = make_problem(120, 10, 3, dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tk.UninformativeScoreWarning)
        found = tk.gbc(scale * X, y, backend=backend)
        full = tk.gbc(scale * X, y, "full", backend=backend)
    if scale < 1.0:
        assert found == pytest.approx(-6.0)  # all variances are at the floor
    else:
        assert -6.0 < found <= 0.0
    assert full == pytest.approx(tk.gbc(X, y, "full", backend=backend), rel=1e-9)


def test_features_that_do_not_vary(backend):
    y = np.arange(12) % 3
    with pytest.warns(tk.UninformativeScoreWarning, match="do not vary"):
        assert tk.gbc(np.ones((12, 4)), y, backend=backend) == -6.0


def test_no_overlap_is_left(backend):
    y = np.arange(12) % 3
    X = 1e6 * np.eye(3)[y] + np.arange(36).reshape(12, 3) % 5
    with pytest.warns(tk.UninformativeScoreWarning, match="no overlap is left"):
        assert tk.gbc(X, y, backend=backend) == 0.0


def test_what_does_not_go_together():
    X, y = make_problem(60, 5, 3)
    with pytest.raises(ValueError, match=r"covariance='full' is not in variant='published'.*leave"):
        tk.gbc(X, y, "full", variant="published")
    with pytest.raises(ValueError, match="'modelspider', which has \"full\" only"):
        tk.gbc(X, y, "diagonal", variant="modelspider")
    with pytest.raises(ValueError, match="covariance='round' is unknown"):
        tk.gbc(X, y, "round")
    with pytest.raises(ValueError, match="n_components=0 is out of range"):
        tk.gbc(X, y, n_components=0)
    with pytest.raises(TypeError, match="n_components must be an integer"):
        tk.gbc(X, y, n_components=2.5)
