"""first_nonfinite: every version finds the first NaN or infinity in row-major order."""

import numpy as np
import pytest
from example_arrays import X

from transfer_kernels.kernels.first_nonfinite import reference
from transfer_kernels.ops.backends import implementation


@pytest.fixture
def first_nonfinite(backend):
    return implementation("first_nonfinite", backend).first_nonfinite


def expected(X):
    bad = np.argwhere(~np.isfinite(X))
    return tuple(bad[0].tolist()) if len(bad) else None


def layouts(X):
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    columns = np.asfortranarray(X)
    return (
        X, columns, wide[::2, ::3], X[::-1, ::-1], columns[:, ::-1], X[:, ::2], X.T,
        np.broadcast_to(X[0], X.shape), np.broadcast_to(X[:, :1], X.shape),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (1, 3000), (3000, 1), (5000, 67)], ids=str)
def test_positions(first_nonfinite, dtype, shape):
    rng = np.random.default_rng(0)
    clean = np.clip(rng.normal(size=shape) * 1e4, -6e4, 6e4).astype(dtype)
    for layout in layouts(clean):
        assert first_nonfinite(layout) is None
    for bad in ([np.nan], [np.inf, -np.inf], [np.nan] * 5):
        X = clean.copy()
        X.flat[rng.integers(0, X.size, len(bad))] = bad
        X.flags.writeable = False
        for layout in layouts(X):
            where = expected(layout)
            assert first_nonfinite(layout) == where == reference.first_nonfinite(layout)


@pytest.mark.parametrize("position", [(0, 0), (0, 66), (2500, 33), (4999, 66)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_corners(first_nonfinite, monkeypatch, position, order):
    X = np.ones((5000, 67), np.float32, order=order)
    X[position] = np.nan
    for n_threads in ("1", "2", "5"):
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        assert first_nonfinite(X) == position


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_extreme_but_finite(first_nonfinite, dtype):
    info = np.finfo(dtype)
    values = [info.max, info.min, info.tiny, info.smallest_subnormal, -0.0, 0.0]
    X = np.tile(np.array(values, dtype), (100, 7))
    assert first_nonfinite(X) is None


def test_every_half(first_nonfinite):
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(-1, 1)
    for start in (0, 0x7C00, 0x7C01, 0x8000, 0xFC00):
        assert first_nonfinite(halves[start:]) == expected(halves[start:])


BROKEN = X.copy()
BROKEN[40, 7] = BROKEN[60, 2] = np.nan

#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "first_nonfinite": [(X,), (BROKEN,), (BROKEN.T,)],
}
REFUSED = [
    ("first_nonfinite", (X[0],), ValueError, "X must be two-dimensional"),
]
