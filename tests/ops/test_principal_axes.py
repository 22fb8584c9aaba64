"""principal_axes: every version against the definition, and against scikit-learn's full SVD."""

import numpy as np
import pytest
from example_arrays import MEANS, ORIGIN, WITHIN, D, X
from sklearn.decomposition import PCA

from transfer_kernels.kernels.principal_axes import reference
from transfer_kernels.ops.backends import implementation


@pytest.fixture
def op(backend):
    return implementation("principal_axes", backend)


def spectrum(m, kind):
    """Eigenvalues, descending."""
    k = np.arange(m)
    if kind == "power law":
        return (1.0 + k) ** -1.5
    if kind == "steps":
        return 4.0 ** -(k // 5)  # groups of five that agree
    if kind == "low rank":
        return np.where(k < max(1, m // 3), 1.0 + k[::-1], 0.0)
    if kind == "close":
        return 1.0 - 1e-9 * k
    return np.zeros(m)


def gram_of(values, seed=0):
    """A matrix of these eigenvalues, NaN below the diagonal."""
    m = len(values)
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))[0]
    gram = (basis * values) @ basis.T
    gram[np.tril_indices(m, -1)] = np.nan
    return gram, basis


KINDS = ["power law", "steps", "low rank", "close", "zero"]
SIZES = [1, 2, 7, 40, 130, 300]


@pytest.mark.parametrize("m", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_eigenpairs(op, m, kind):
    expected = spectrum(m, kind)
    gram, _ = gram_of(expected)
    gram.flags.writeable = False
    whole = np.triu(gram) + np.triu(gram, 1).T
    for k in sorted({1, max(1, m // 4), m}):
        values, axes = op.principal_axes(gram, k)
        assert values.shape == (k,) and axes.shape == (m, k) and values.dtype == np.float64
        scale = expected[0] or 1.0
        np.testing.assert_allclose(values, expected[:k], atol=2e-13 * scale)
        np.testing.assert_allclose(axes.T @ axes, np.eye(k), atol=1e-12)
        np.testing.assert_allclose(whole @ axes, values * axes, atol=2e-13 * scale)
        largest = np.abs(axes).argmax(axis=0)
        assert (axes[largest, np.arange(k)] > 0.0).all()


@pytest.mark.parametrize("m", [40, 130, 300])
def test_axes_with_a_gap_are_those_of_the_definition(op, m):
    gram, _ = gram_of(spectrum(m, "power law"), seed=1)
    values, axes = op.principal_axes(gram, 9)
    expected_values, expected = reference.principal_axes(gram, 9)
    np.testing.assert_allclose(values, expected_values, rtol=1e-12)
    np.testing.assert_allclose(axes, expected, atol=1e-11)


def test_the_span_of_equal_values_is_known(op):
    gram, basis = gram_of(spectrum(130, "steps"))
    _, axes = op.principal_axes(gram, 15)
    inside = basis[:, :15]
    np.testing.assert_allclose(inside @ (inside.T @ axes), axes, atol=1e-11)


@pytest.mark.parametrize("kind", ["power law", "low rank", "zero"])
@pytest.mark.parametrize("variance", [0.2, 0.8, 0.999, 1.0])
def test_the_number_of_axes_for_a_share_is_scikit_learns_rule(op, kind, variance):
    expected = spectrum(60, kind)
    gram, _ = gram_of(expected)
    values, axes = op.principal_axes(gram, None, variance)
    shares = np.cumsum(expected) / (expected.sum() or 1.0)
    if kind == "zero":
        assert len(values) == 60 or len(values) == 1
        return
    wanted = min(60, int(np.searchsorted(shares, variance, side="right")) + 1)
    # A share of exactly one depends on rounding.
    assert len(values) == wanted or variance == 1.0
    assert axes.shape == (60, len(values))


def test_exact_pca(op):
    """Scores and variances of scikit-learn's PCA by a full SVD, to 1e-12, for wide features too."""
    rng = np.random.default_rng(2)
    for n, d in [(90, 30), (30, 90)]:
        X = rng.normal(size=(n, d)) * np.linspace(2.0, 0.3, d) + 50.0 * rng.normal(size=d)
        X = X.astype(np.float32)
        mean = X.mean(axis=0, dtype=np.float64)
        pca = PCA(n_components=8, svd_solver="full").fit(X.astype(np.float64))
        expected = pca.transform(X.astype(np.float64))
        Z = X - mean
        if n >= d:
            values, axes = op.principal_axes(Z.T @ Z, 8)
            scores = op.principal_scores(X, mean, axes)
        else:
            values, axes = op.principal_axes(Z @ Z.T, 8)
            scores = axes * np.sqrt(values)
        np.testing.assert_allclose(values / (n - 1), pca.explained_variance_, rtol=1e-12)
        signs = np.sign((scores * expected).sum(axis=0))
        np.testing.assert_allclose(signs * scores, expected, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 2), (700, 67, 9)], ids=str)
def test_scores_are_the_definition(op, shape, dtype):
    n, d, k = shape
    rng = np.random.default_rng(n)
    X = (rng.normal(size=(n, d)) + 3.0).astype(dtype)
    shift, axes = rng.normal(size=d), rng.normal(size=(d, k))
    expected = reference.principal_scores(X, shift, axes)
    wide = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for layout in (X, np.asfortranarray(X), wide, X[::-1, ::-1].copy()[::-1, ::-1]):
        layout.flags.writeable = False
        found = op.principal_scores(layout, shift, axes)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["power law", "steps", "low rank", "close"])
def test_the_compiled_version_does_without_lapack(native_isa, kind, monkeypatch):
    """On matrices that are large enough for it, even where eigenvalues agree."""
    from transfer_kernels.kernels.principal_axes import lapack_cpu

    def refuse(*_):
        raise AssertionError("LAPACK was asked")

    monkeypatch.setattr(lapack_cpu, "principal_axes", refuse)
    expected = spectrum(341, kind)
    gram, _ = gram_of(expected, seed=3)
    whole = np.triu(gram) + np.triu(gram, 1).T
    find = implementation("principal_axes", "native").principal_axes
    for k in (1, 17, 85):
        for n_threads in ("1", "3"):
            monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
            values, axes = find(gram, k)
            np.testing.assert_allclose(values, expected[:k], atol=2e-13 * expected[0])
            np.testing.assert_allclose(axes.T @ axes, np.eye(k), atol=1e-13)
            np.testing.assert_allclose(whole @ axes, values * axes, atol=2e-13 * expected[0])
    if kind in ("power law", "steps"):
        values, _ = find(gram, None, 0.7)
        shares = np.cumsum(expected) / expected.sum()
        assert len(values) == np.searchsorted(shares, 0.7, side="right") + 1


def test_where_many_axes_are_wanted_lapack_serves(native_isa):
    gram, _ = gram_of(spectrum(200, "close"))
    values, axes = implementation("principal_axes", "native").principal_axes(gram, None, 0.9)
    assert axes.shape == (200, 181) or axes.shape == (200, 180)
    np.testing.assert_allclose(values, 1.0, atol=1e-6)


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "principal_axes": [(WITHIN, 4), (WITHIN, D)],
    "principal_scores": [(X, MEANS[0], MEANS.T.copy())],
}
REFUSED = [
    ("principal_axes", (WITHIN,), ValueError, "give either n_axes or variance"),
    ("principal_axes", (WITHIN, D + 1), ValueError, "n_axes=14 is out of range"),
    ("principal_axes", (WITHIN, 2.5), TypeError, "n_axes must be an integer"),
    ("principal_axes", (WITHIN, None, 1.5), ValueError, "variance=1.5 is out of range"),
    ("principal_scores", (X, ORIGIN, MEANS), ValueError, r"axes must be .*\(13, k\)"),
]


def _axes(kind):
    gram = gram_of(spectrum(230, kind))[0]
    return lambda op: op.principal_axes(gram, 30)


#: The compiled version gives the same bits for any number of threads: test_same_bits.py.
SAME_BITS = {kind: _axes(kind) for kind in ("power law", "steps")}
