"""source_posteriors: every version against the definition, dense and sparse."""

import numpy as np
import pytest
from scipy import sparse

from transfer_kernels import ops
from transfer_kernels.kernels.source_posteriors import PIECE_ROWS, reference
from transfer_kernels.ops.backends import implementation

SHAPES = [(1, 1, 1), (5, 3, 2), (70, 33, 4), (3 * PIECE_ROWS + 7, 20, 2), (40, 1100, 17)]


@pytest.fixture
def version(backend):
    return implementation("source_posteriors", backend)


def problem(n, width, n_classes, dtype=np.float64, zeros=0.0):
    rng = np.random.default_rng(n + width)
    theta = rng.dirichlet(np.ones(width), size=n)
    theta[rng.random(theta.shape) < zeros] = 0.0
    codes = rng.integers(0, n_classes, n)
    return theta.astype(dtype), codes, rng.random((n_classes, width))


def layouts(theta):
    wide = np.repeat(np.repeat(theta, 2, axis=0), 3, axis=1)[::2, ::3]
    for layout in (theta, np.asfortranarray(theta), wide, theta[::-1, ::-1].copy()[::-1, ::-1]):
        layout.flags.writeable = False
        yield layout


def check(version, theta, dense, codes, table, rtol=1e-12):
    n_classes = len(table)
    found = version.class_sums(theta, codes, n_classes)
    for one, other in zip(found, reference.class_sums(dense, codes, n_classes), strict=True):
        assert one.dtype == np.float64 and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-15)
    expected = reference.own_class(dense, codes, table)
    np.testing.assert_allclose(version.own_class(theta, codes, table), expected, rtol=rtol)
    for floor in (1e-10, 0.5):
        sums, log_norm = version.tilted_sums(theta, codes, table, floor)
        expected, expected_log = reference.tilted_sums(dense, codes, table, floor)
        np.testing.assert_allclose(sums, expected, rtol=rtol, atol=1e-15)
        assert log_norm == pytest.approx(expected_log, rel=rtol)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_the_definition(version, shape, dtype):
    theta, codes, table = problem(*shape, dtype)
    for layout in layouts(theta):
        check(version, layout, theta, codes, table)


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.97])
def test_sparse_rows_equal_dense_ones(version, form, zeros):
    theta, codes, table = problem(700, 40, 3, zeros=zeros)
    for dtype in (np.float32, np.float64):
        given = theta.astype(dtype)
        check(version, form(given), given, codes, table)


def test_classes_without_samples_have_empty_sums(version):
    theta, codes, table = problem(30, 6, 2)
    table = np.concatenate([table, np.ones((3, 6))])
    assert not version.class_sums(theta, codes, 5)[0][2:].any()
    assert not version.tilted_sums(theta, codes, table, 0.1)[0][2:].any()


def test_rows_that_are_no_probabilities_show(version):
    theta, codes, _ = problem(40, 9, 3)
    theta[7, 4], theta[8, 8], theta[9, 0] = -0.25, np.nan, np.inf
    for given in (theta, sparse.csr_array(theta)):
        _, totals, lowest = version.class_sums(given, codes, 3)
        assert lowest[7] == -0.25 and np.isnan(totals[8]) and np.isinf(totals[9])
        others = np.delete(np.arange(40), [7, 8, 9])
        assert np.abs(totals[others] - 1.0).max() < 1e-12 and lowest[others].min() >= 0.0


def test_same_bits_whatever_the_threads(version, monkeypatch):
    theta, codes, table = problem(2500, 31, 3, np.float32)
    for given in (theta, sparse.csr_array(theta)):

        def results(given=given):
            return (
                *version.class_sums(given, codes, 3),
                version.own_class(given, codes, table),
                *version.tilted_sums(given, codes, table, 1e-10),
            )

        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "1")
        expected = results()
        for n_threads in ("2", "5"):
            monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
            for found, value in zip(results(), expected, strict=True):
                np.testing.assert_array_equal(found, value)


def test_the_public_op_takes_csr_alone_of_sparse_forms():
    theta, codes, table = problem(20, 5, 2, zeros=0.5)
    doubled = sparse.csr_array((np.ones(4), [0, 0, 1, 4], [0, 2, 4]), shape=(2, 5))
    found = ops.own_class(doubled, [0, 1], table)
    np.testing.assert_allclose(found, [2.0 * table[0, 0], table[1, 1] + table[1, 4]])
    integers = sparse.csr_array((theta > 0.1).astype(int))
    np.testing.assert_array_equal(ops.class_sums(integers, codes, 2)[1], (theta > 0.1).sum(axis=1))
    with pytest.raises(TypeError, match=r"theta .* form csc; pass theta.tocsr\(\)"):
        ops.class_sums(sparse.csc_array(theta), codes, 2)


_THETA, _CODES, _TABLE = problem(*SHAPES[2])
#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "class_sums": [(_THETA, _CODES, 4)],
    "own_class": [(_THETA, _CODES, _TABLE)],
    "tilted_sums": [(_THETA.astype(np.float32), _CODES, _TABLE, 1e-10)],
}
REFUSED = [
    ("class_sums", (_THETA[0], _CODES, 4), ValueError, "theta must be two-dimensional"),
    ("class_sums", (_THETA, _CODES[1:], 4), ValueError, "the same length"),
    ("class_sums", (_THETA, _CODES, 2), ValueError, r"codes must lie in \[0, 2\)"),
    ("own_class", (_THETA, _CODES, _TABLE[:, 1:]), ValueError, r"table .*\(C, 33\)"),
    ("own_class", (_THETA, _CODES, _TABLE[:2]), ValueError, r"codes must lie in \[0, 2\)"),
    ("tilted_sums", (_THETA, _CODES, -_TABLE, 0.1), ValueError, "table must be finite and not"),
    ("tilted_sums", (_THETA, _CODES, _TABLE, -0.1), ValueError, "floor=-0.1 is out of range"),
]


def _every_function(theta, codes, table):
    return lambda op: (
        *op.class_sums(theta, codes, len(table)),
        op.own_class(theta, codes, table),
        *op.tilted_sums(theta, codes, table, 1e-10),
    )


SAME_BITS = {
    "dense": _every_function(*problem(2500, 31, 3, np.float32)),
    "wide": _every_function(*problem(60, 1300, 2, np.float16)),
}
