"""fisher_scatter: every version against the definition, on awkward shapes, types and layouts."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from example_arrays import CODES, ORIGIN, SHARES, C, X

from transfer_kernels.kernels.fisher_scatter import reference
from transfer_kernels.ops.backends import implementation

# Below, at and above what the blocks, panels and tiles of the compiled version divide.
SHAPES = [
    (1, 1, 1), (2, 1, 2), (2, 3, 5), (50, 7, 3), (191, 12, 4), (192, 13, 5), (193, 64, 10),
    (600, 65, 7), (777, 100, 2), (40, 257, 9), (400, 300, 40), (513, 530, 13),
]  # fmt: skip


def problem(n, d, n_classes, seed=0, dtype=np.float64, offset=0.0):
    """Features, codes of which some classes stay empty, and weights of which some are zero."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * rng.uniform(0.1, 3.0, d) + offset).astype(dtype)
    codes = rng.integers(0, max(1, n_classes - n_classes // 4), n)
    weights = rng.random(n) * (rng.random(n) > 0.2)
    return X, codes, weights


def assert_same(actual, expected, tolerance=1e-12):
    """Every array close to the expected one, relative to its largest entry."""
    for name in ("shift", "counts", "shifted_sums", "root_counts", "shifted_root_sums"):
        got, want = getattr(actual, name), getattr(expected, name)
        assert got.dtype == np.float64 and got.shape == want.shape
        assert np.abs(got - want).max() <= tolerance * np.abs(want).max(), name
    got, want = np.triu(actual.shifted_gram), np.triu(expected.shifted_gram)
    scale = np.sqrt(np.diag(want))
    assert (np.abs(got - want) <= tolerance * np.outer(scale, scale)).all()


def bits(scatter):
    parts = (scatter.counts, scatter.shifted_sums, np.triu(scatter.shifted_gram))
    parts += (scatter.root_counts, scatter.shifted_root_sums)
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


@pytest.fixture
def fisher_scatter(backend):
    return implementation("fisher_scatter", backend).fisher_scatter


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_shapes(fisher_scatter, shape, weighted):
    X, codes, weights = problem(*shape)
    weights = weights if weighted else None
    expected = reference.fisher_scatter(X, codes, shape[2], weights)
    assert_same(fisher_scatter(X, codes, shape[2], weights), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("d", [37, 270])
def test_types_and_layouts(fisher_scatter, dtype, d):
    X, codes, weights = problem(420, d, 6, dtype=dtype)
    wide = np.zeros((840, 3 * d), dtype)
    wide[::2, ::3] = X
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(dtype).reshape(X.shape)
    layouts = {
        "C": X,
        "Fortran": np.asfortranarray(X),
        "stepped": wide[::2, ::3],
        "padded rows": wide[:, : 2 * d][::2, ::3],
        "reversed": X[::-1, ::-1],
        "one row repeated": np.broadcast_to(X[3], X.shape),
        "one column repeated": np.broadcast_to(X[:, 3:4], X.shape),
        "unaligned": unaligned,
    }
    for name, layout in layouts.items():
        some = codes[: len(layout)]
        expected = reference.fisher_scatter(layout, some, 6, weights)
        before = layout.tobytes()
        layout.flags.writeable = False
        if name.startswith("one"):  # everything cancels against the shift but rounding
            np.testing.assert_allclose(
                np.triu(fisher_scatter(layout, some, 6, weights).gram),
                np.triu(expected.gram),
                rtol=1e-12,
            )
        elif name != "padded rows":
            assert_same(fisher_scatter(layout, some, 6, weights), expected)
        assert layout.tobytes() == before


def test_half_precision_is_read_exactly(fisher_scatter):
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 1024)
    codes = np.arange(len(halves))
    shift = np.zeros(1024)
    scatter = fisher_scatter(halves, codes, len(halves), shift=shift)
    np.testing.assert_array_equal(scatter.shifted_sums, halves.astype(np.float64))
    columns = np.asfortranarray(halves)
    scatter = fisher_scatter(columns, codes, len(halves), shift=shift)
    np.testing.assert_array_equal(scatter.shifted_sums, halves.astype(np.float64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_offset_costs_no_digits(fisher_scatter, dtype):
    X, codes, _ = problem(500, 30, 4, dtype=dtype, offset=1e3)
    centred = X.astype(np.float64)
    centred -= centred.mean(axis=0)
    within = fisher_scatter(X, codes, 4).total()
    exact = centred.T @ centred / len(X)
    assert np.abs(within - exact).max() <= 1e-12 * np.abs(exact).max()


def test_given_shift(fisher_scatter):
    X, codes, weights = problem(210, 20, 3)
    shift = np.linspace(-1.0, 1.0, 20)
    expected = reference.fisher_scatter(X, codes, 3, weights, shift)
    scatter = fisher_scatter(X, codes, 3, weights, shift)
    assert_same(scatter, expected)
    np.testing.assert_array_equal(scatter.shift, shift)
    assert_same(fisher_scatter(X, codes, 3, weights, shift[::-1][::-1]), expected)


def test_weight_zero_leaves_a_sample_out(fisher_scatter):
    X, codes, _ = problem(300, 18, 4)
    keep = np.arange(300) % 3 > 0
    shift = X.mean(axis=0)
    weighted = fisher_scatter(X, codes, 4, keep.astype(np.float64), shift)
    assert_same(weighted, fisher_scatter(X[keep], codes[keep], 4, None, shift))


@pytest.mark.parametrize("d", [24, 290])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_same_bits_again(fisher_scatter, backend, monkeypatch, d, weighted):
    X, codes, weights = problem(1500, d, 11, dtype=np.float32)
    weights = weights if weighted else None
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "2")
    once = bits(fisher_scatter(X, codes, 11, weights))
    with ThreadPoolExecutor(8) as pool:
        runs = pool.map(lambda _: bits(fisher_scatter(X, codes, 11, weights)), range(16))
        assert set(runs) == {once}
    if backend == "native":
        for n_threads in ("1", "3", "5", "40"):
            monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
            assert bits(fisher_scatter(X, codes, 11, weights)) == once


def test_inputs_stay(fisher_scatter):
    X, codes, weights = problem(200, 33, 5)
    shift = X.mean(axis=0)
    arrays = (X, codes, weights, shift)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    scatter = fisher_scatter(X, codes, 5, weights, shift)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        for result in vars(scatter).values():
            assert result is shift or not np.shares_memory(result, array)


@pytest.mark.exhaustive
def test_many_classes_and_wide(fisher_scatter):
    X, codes, weights = problem(2100, 1100, 1500, dtype=np.float32)
    expected = reference.fisher_scatter(X, codes, 1500, weights)
    assert_same(fisher_scatter(X, codes, 1500, weights), expected)


def test_binding_refuses_what_does_not_fit():
    native = pytest.importorskip("transfer_kernels._native")
    X, codes, weights = problem(20, 4, 3)
    arguments = dict(
        X=X, codes=codes, n_classes=3, weights=weights, shift=np.zeros(4), gram=np.zeros((4, 4)),
        sums=np.zeros((3, 4)), root_sums=np.zeros((3, 4)), isa="baseline", n_threads=1,
    )  # fmt: skip
    native.fisher_scatter(**arguments)
    for name, wrong in [
        ("codes", codes + 3), ("codes", codes[1:]), ("weights", weights[1:]), ("n_classes", 2),
        ("shift", np.zeros(5)), ("gram", np.zeros((4, 5))), ("sums", np.zeros((2, 4))),
        ("root_sums", None), ("isa", "sse9"), ("n_threads", 0), ("X", X[:0]),
    ]:  # fmt: skip
        with pytest.raises(ValueError):
            native.fisher_scatter(**{**arguments, name: wrong})
    for name, wrong in [("X", X.astype(int)), ("codes", codes.astype(np.int32))]:
        with pytest.raises(TypeError):
            native.fisher_scatter(**{**arguments, name: wrong})


def test_classes_that_move():
    rng = np.random.default_rng(5)
    X, codes, moves = (
        rng.normal(size=(80, 7)) + 30.0,
        rng.integers(0, 4, 80),
        rng.normal(size=(4, 7)),
    )
    weights = rng.random(80)
    found = reference.fisher_scatter(X, codes, 4, weights).moved_classes(moves)
    expected = reference.fisher_scatter(X + moves[codes], codes, 4, weights, found.shift)
    for name in ("counts", "shifted_sums", "root_counts", "shifted_root_sums"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-10)
    np.testing.assert_allclose(
        np.triu(found.shifted_gram), np.triu(expected.shifted_gram), rtol=1e-10, atol=1e-10
    )


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "fisher_scatter": [(X, CODES, C), (X, CODES, C, SHARES), (X, CODES, C + 2)],
}
REFUSED = [
    ("fisher_scatter", (X, CODES, 0), ValueError, "n_classes=0 is out of range"),
    ("fisher_scatter", (X, CODES, 2.0), TypeError, "n_classes must be an integer"),
    ("fisher_scatter", (X, CODES, C), ValueError, r"shift .*\(13,\)", {"shift": ORIGIN[1:]}),
]
