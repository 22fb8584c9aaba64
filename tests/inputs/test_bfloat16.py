"""bfloat16 on the host: the values of the same numbers in float32, at half their memory."""

import tracemalloc

import numpy as np
import pytest

import transfer_kernels as tk
from transfer_kernels import ops
from transfer_kernels.files.feature_files import read_features
from transfer_kernels.inputs import bfloat16
from transfer_kernels.inputs.arrays import as_features
from transfer_kernels.inputs.bfloat16 import BFloat16Matrix, widened

METRICS = {
    "logme": tk.logme,
    "thuml": lambda X, y, **options: tk.logme(X, y, variant="thuml", **options),
    "sfda": tk.sfda,
    "parc": tk.parc,
    "parc 8": lambda X, y, **options: tk.parc(X, y, n_components=8, **options),
    "fda_score": tk.fda_score,
}


def rounded(X):
    """The upper halves of float32 numbers, and the numbers that these are."""
    halves = (np.ascontiguousarray(X, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return halves, widened(halves)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(bfloat16, "BLOCK_BYTES", 5000)
    monkeypatch.setattr(bfloat16, "BLOCK_ROWS_PER_COLUMN", 0)


@pytest.mark.filterwarnings("ignore::transfer_kernels.UninformativeScoreWarning")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "d"), [(500, 20), (60, 130), (90, 90)])
def test_scores_are_those_of_float32(small_blocks, backend, metric, n, d):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 4
    halves, wide = rounded(rng.normal(size=(n, d)) + 2 * np.eye(4, d)[y] + 5)
    score = METRICS[metric]
    expected = score(wide, y, backend=backend)
    assert score(BFloat16Matrix(halves), y, backend=backend) == pytest.approx(expected, rel=1e-9)
    dropped = np.where(y == 3, -1, y)
    assert score(
        BFloat16Matrix(halves), dropped, backend=backend, ignore_label=-1
    ) == pytest.approx(score(wide[y < 3], y[y < 3], backend=backend), rel=1e-9)


def test_ops_on_blocks(small_blocks, backend):
    rng = np.random.default_rng(1)
    halves, wide = rounded(rng.normal(size=(400, 12)) * 10.0 ** rng.integers(-3, 3, 12) + 100)
    X, codes, w = BFloat16Matrix(halves), np.arange(400) % 3, rng.random(400)
    assert len(list(X.blocks())) > 3
    for weights in (None, w):
        found = ops.fisher_scatter(X, codes, 3, weights, backend=backend)
        expected = ops.fisher_scatter(wide, codes, 3, weights, backend=backend)
        for name in ("counts", "sums", "gram", "root_counts", "shifted_root_sums"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)
    coef, intercept = rng.normal(size=(3, 12)) * 1e-3, rng.normal(size=3)
    for mixing in (None, (rng.random(400), rng.normal(size=(3, 12)))):
        found = ops.self_challenging(X, codes, coef, intercept, mixing, backend=backend)
        expected = ops.self_challenging(wide, codes, coef, intercept, mixing, backend=backend)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    Y = rng.normal(size=(400, 2))
    np.testing.assert_allclose(
        ops.target_moments(X, Y, backend=backend), wide.astype(float).T @ Y, rtol=1e-9
    )
    for row, column in ((0, 3), (399, 11), (217, 0)):
        spoilt = halves.copy()
        spoilt[row, column] = 0x7F80  # infinity
        spoilt[-1, -1] = 0x7FC1  # NaN, after it
        assert ops.first_nonfinite(BFloat16Matrix(spoilt), backend=backend) == (row, column)
    assert ops.first_nonfinite(X, backend=backend) is None


@pytest.mark.parametrize("layout", [np.s_[:, :], np.s_[::-1, ::2], np.s_[5:, 1:]])
def test_it_is_seen_as_float32(small_blocks, layout):
    values = np.random.default_rng(2).normal(size=(300, 14)) * 1e-39  # some are subnormal
    halves, wide = rounded(values)
    halves[3, 3] = 0x8000  # -0
    halves, wide = halves[layout], widened(halves)[layout]
    for X, expected in ((BFloat16Matrix(halves), wide), (BFloat16Matrix(halves).T, wide.T)):
        assert X.shape == expected.shape and len(X) == len(expected) and X.dtype == np.float32
        np.testing.assert_array_equal(
            np.asarray(X).view(np.uint32), expected.copy().view(np.uint32)
        )
        np.testing.assert_array_equal(np.asarray(X, np.float64), expected)
        np.testing.assert_array_equal(np.asarray(X[[3, 1]]), expected[[3, 1]])
        np.testing.assert_array_equal(X[2:7].astype(np.float64), expected[2:7])
        means = X.mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(means, expected.mean(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_array_equal(X.mean(axis=1), expected.mean(axis=1))
        np.testing.assert_array_equal(np.mean(X), np.mean(expected))
        np.testing.assert_array_equal(X.std(axis=0), expected.std(axis=0))
        np.testing.assert_array_equal(X.max(axis=0), expected.max(axis=0))
        np.testing.assert_array_equal(2 * X - X[0] ** 2, 2 * expected - expected[0] ** 2)
        np.testing.assert_array_equal(X @ expected.T, expected @ expected.T)
        assert X[3, 2] == expected[3, 2]
        assert X.max() == expected.max() and X.min() == expected.min()


def test_tensors_are_read_where_they_are(small_blocks):
    torch = pytest.importorskip("torch")
    halves, wide = rounded(np.random.default_rng(3).normal(size=(50, 6)))
    tensor = torch.from_numpy(wide).bfloat16()
    narrow = as_features(tensor.requires_grad_(), narrow=True)
    assert isinstance(narrow, BFloat16Matrix)
    assert narrow.halves.ctypes.data == tensor.data_ptr()
    np.testing.assert_array_equal(narrow.halves, halves)
    np.testing.assert_array_equal(as_features(tensor), wide)
    for view, expected in ((tensor[::2, 1:], wide[::2, 1:]), (tensor.t(), wide.T)):
        np.testing.assert_array_equal(as_features(view, narrow=True), expected)
    for bad, error in ((tensor[0], ValueError), (tensor.to_sparse(), TypeError)):
        with pytest.raises(error, match="features"):
            as_features(bad, narrow=True)
    y = np.arange(50) % 3
    tensor = tensor.detach()
    tensor[7, 2] = float("nan")
    with pytest.raises(ValueError, match="contains nan first at row 7, column 2"):
        tk.logme(tensor, y)


def test_arrays_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    _, wide = rounded(np.random.default_rng(3).normal(size=(50, 6)))
    array = wide.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(as_features(array), wide)
    y = np.arange(50) % 3
    assert tk.logme(array, y) == tk.logme(wide, y)


def test_ranked_from_disk(tmp_path, small_blocks):
    torch = pytest.importorskip("torch")
    safetensors_torch = pytest.importorskip("safetensors.torch")
    _, wide = rounded(np.random.default_rng(4).normal(size=(80, 6)))
    tensor, y = torch.from_numpy(wide).bfloat16(), np.arange(80) % 3
    safetensors_torch.save_file({"features": tensor}, tmp_path / "a.safetensors")
    torch.save(tensor, tmp_path / "b.pt")
    narrow = read_features(tmp_path / "a.safetensors", narrow=True).features
    assert isinstance(narrow, BFloat16Matrix) and isinstance(narrow.halves, np.memmap)
    zoo = {"a": tmp_path / "a.safetensors", "b": tmp_path / "b.pt", "c": wide}
    ranking = tk.rank(zoo, y, ["logme", "sfda"])
    for metric in ("logme", "sfda"):
        scores = list(ranking.column(metric).values())
        assert scores == pytest.approx([scores[0]] * 3, rel=1e-12)


@pytest.mark.parametrize("metric", ["logme", "sfda", "parc 8"])
def test_no_copy_of_all_features_is_made(metric):
    n, d = 40_000, 256
    rng = np.random.default_rng(5)
    halves, wide = rounded(rng.normal(size=(n, d)))
    X, y = BFloat16Matrix(halves), np.arange(n) % 4
    METRICS[metric](X[:500], y[:500])
    tracemalloc.start()
    try:
        METRICS[metric](X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * wide.nbytes, peak / wide.nbytes


def test_metrics_of_ones_own_get_an_array():
    halves, wide = rounded(np.random.default_rng(6).normal(size=(30, 3)))
    seen = []

    def mine(features, labels):
        seen.append(features)
        return float(features.sum())

    ranking = tk.rank({"a": BFloat16Matrix(halves)}, np.arange(30) % 3, mine)
    assert ranking[0].scores["mine"] == float(wide.sum())
    assert type(seen[0]) is np.ndarray
