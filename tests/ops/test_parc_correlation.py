"""parc_correlation: every version against the definition, on ties, degenerate rows and layouts."""

import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from example_arrays import CODES, X, Y
from scipy.stats import spearmanr

from transfer_kernels.kernels.parc_correlation import reference
from transfer_kernels.kernels.threads import VARIABLES
from transfer_kernels.ops.backends import implementation

SHAPES = [
    (2, 3, 2), (3, 3, 2), (7, 2, 3), (11, 1, 2), (12, 3, 4), (13, 17, 13), (50, 5, 40),
    (121, 33, 5), (257, 300, 9), (240, 129, 2), (500, 32, 100),
]  # fmt: skip


def problem(n, d, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_classes, n)
    return rng.normal(size=(n, d)) + 0.5 * rng.normal(size=(n_classes, d))[codes], codes


def duplicated(rng):
    X, _ = problem(130, 9, 4)
    return X[rng.integers(0, 40, 130)]


def concentrated(rng):
    """Correlations of distinct rows all within some 1e-6 of each other."""
    return np.eye(150) + 1e-7 * rng.normal(size=(150, 150))


def with_constant_rows(rng):
    """Rows at the mean: standardised, nothing is left of them but rounding noise."""
    X = rng.normal(size=(120, 6))
    return np.concatenate([X, np.tile(X.mean(axis=0), (7, 1))])


SPECIAL = {
    "quantised": lambda rng: rng.integers(0, 3, (170, 4)) * 1.0,
    "binary": lambda rng: rng.integers(0, 2, (170, 3)) * 1.0,
    "duplicated": duplicated,
    "concentrated": concentrated,
    "constant rows": with_constant_rows,
    "constant columns": lambda rng: np.pad(problem(90, 5, 2)[0], ((0, 0), (1, 2))),
    "offset": lambda rng: problem(140, 20, 2)[0] + 1e3,
    "one feature": lambda rng: rng.normal(size=(60, 1)),
    "two features": lambda rng: rng.normal(size=(60, 2)),
    "identity": lambda rng: np.eye(40),
    "equal rows": lambda rng: np.full((30, 8), 0.1),
}


@pytest.fixture
def op(backend):
    return implementation("parc_correlation", backend)


def assert_close(actual, expected, tolerance=1e-12):
    assert isinstance(actual, float)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(op, shape):
    X, codes = problem(*shape)
    assert_close(op.parc_correlation(X, codes), reference.parc_correlation(X, codes))


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("n_classes", [2, 5, 30])
def test_ties_and_degenerate_rows(op, name, n_classes):
    rng = np.random.default_rng(3)
    X = SPECIAL[name](rng)
    codes = rng.integers(0, n_classes, len(X))
    assert_close(op.parc_correlation(X, codes), reference.parc_correlation(X, codes), 1e-9)


@pytest.mark.parametrize("codes", [np.zeros(9, int), np.arange(9)], ids=["one", "of one"])
def test_labels_that_all_agree_or_all_differ(op, codes):
    assert np.isnan(op.parc_correlation(problem(9, 4, 2)[0], codes))


def test_against_spearman_of_two_valued_labels(op):
    X, codes = problem(160, 12, 3)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    i, j = np.triu_indices(len(X), 1)
    expected = spearmanr(1 - np.corrcoef(Z)[i, j], codes[i] != codes[j]).statistic
    assert_close(op.parc_correlation(X, codes), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_and_layouts(op, dtype):
    X, codes = problem(90, 40, 7)
    X = X.astype(dtype)
    wide = np.zeros((180, 120), dtype)
    wide[::2, ::3] = X
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(dtype).reshape(X.shape)
    broadcast = np.broadcast_to(X[:, 3:4], X.shape)
    layouts = (X, np.asfortranarray(X), wide[::2, ::3], X[::-1, ::-1], unaligned, broadcast)
    for layout in layouts:
        before = layout.tobytes()
        layout.flags.writeable = False
        expected = reference.parc_correlation(layout, codes)
        assert_close(op.parc_correlation(layout, codes), expected)
        assert layout.tobytes() == before


def test_order_of_the_rows_does_not_matter(op):
    """Not even with duplicate rows: they have the same distances wherever they stand."""
    X, codes = problem(300, 21, 6)
    X[200:] = X[:100]
    order = np.random.default_rng(0).permutation(300)
    expected = op.parc_correlation(X, codes)
    # A distance between two multiples of the resolution falls on either side: 2e-9 a pair.
    assert_close(op.parc_correlation(X[order], codes[order]), expected, 2e-8)


def label_vectors(kind, n, rng):
    if kind == "multi-label":
        return (rng.random((n, 6)) < 0.3) * 1.0
    if kind == "one-hot":
        return np.eye(4)[rng.integers(0, 4, n)]
    if kind == "constant":
        return np.full((n, 3), 0.1)
    return rng.normal(size=(n, 5))


@pytest.mark.parametrize("kind", ["multi-label", "one-hot", "real", "constant"])
@pytest.mark.parametrize("n", [2, 3, 40, 301])
def test_label_vectors(op, kind, n):
    rng = np.random.default_rng(n)
    Y = label_vectors(kind, n, rng)
    X = rng.normal(size=(n, 9)) + Y[:, :1]
    expected = reference.parc_correlation_vectors(X, Y)
    assert_close(op.parc_correlation_vectors(X, Y), expected)


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("kind", ["multi-label", "real"])
def test_label_vectors_with_ties_and_degenerate_rows(op, name, kind):
    rng = np.random.default_rng(3)
    X = SPECIAL[name](rng)
    Y = label_vectors(kind, len(X), rng)
    Y[: len(Y) // 3] = Y[-1]
    expected = reference.parc_correlation_vectors(X, Y)
    assert_close(op.parc_correlation_vectors(X, Y), expected, 1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_types_and_layouts_of_label_vectors(op, dtype):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(90, 7)).astype(dtype)
    Y = rng.normal(size=(90, 8)) + X[:, :1]
    for labels in (Y, np.asfortranarray(Y), np.repeat(Y, 2, axis=0)[::2, ::-1]):
        labels.flags.writeable = False
        expected = reference.parc_correlation_vectors(X, labels)
        assert_close(op.parc_correlation_vectors(X, labels), expected)


def test_one_hot_vectors_give_the_value_of_the_codes(op):
    X, codes = problem(150, 10, 5)
    assert_close(op.parc_correlation_vectors(X, np.eye(5)[codes]), op.parc_correlation(X, codes))


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_thread_counts(op, backend, monkeypatch, threads):
    """The compiled version gives the same bits, BLAS need not."""
    X, codes = problem(410, 23, 8)
    expected = op.parc_correlation(X, codes)
    monkeypatch.setenv(VARIABLES[0], str(threads))
    assert_close(op.parc_correlation(X, codes), expected, 0 if backend == "native" else 1e-13)


def test_concurrent_calls_agree(op):
    X, codes = problem(200, 16, 5)
    expected = op.parc_correlation(X, codes)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: op.parc_correlation(X, codes), range(8)))
    assert results == [expected] * 8


# What the compiled version does with many pairs, on few.


@pytest.fixture
def native(native_isa):
    """The compiled version, which alone can be told to bin few pairs."""
    return implementation("parc_correlation", "native")


@pytest.mark.parametrize("name", ["quantised", "duplicated", "concentrated", "binary", "offset"])
@pytest.mark.parametrize("n_classes", [2, 30])
@pytest.mark.parametrize("tolerance", [1e-9, 1e-12, 0.0])
def test_bins_keep_their_bound(native, name, n_classes, tolerance):
    rng = np.random.default_rng(5)
    X = SPECIAL[name](rng)
    codes = rng.integers(0, n_classes, len(X))
    exact = native.parc_correlation(X, codes)
    binned, bound = native.bounded_correlation(X, codes, sort_limit=0, tolerance=tolerance)
    assert bound <= tolerance
    assert_close(binned, exact, bound + 4e-16)


def test_coarse_bins_are_counted_again(native):
    X = np.eye(700) + 1e-6 * np.random.default_rng(0).normal(size=(700, 700))
    codes = np.arange(700) % 3
    exact = native.parc_correlation(X, codes)
    coarse, coarse_bound = native.bounded_correlation(X, codes, sort_limit=0, tolerance=1.0)
    fine, fine_bound = native.bounded_correlation(X, codes, sort_limit=0, tolerance=1e-10)
    assert coarse_bound > 1e-7 and abs(coarse - exact) > 1e-9
    assert fine_bound <= 1e-10
    assert abs(coarse - exact) <= coarse_bound and abs(fine - exact) <= fine_bound


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bins_do_not_depend_on_the_threads(native, monkeypatch, threads):
    X, codes = problem(1300, 7, 4)
    expected = native.bounded_correlation(X, codes, sort_limit=0)
    monkeypatch.setenv(VARIABLES[0], str(threads))
    assert native.bounded_correlation(X, codes, sort_limit=0) == expected


@pytest.mark.parametrize("name", ["quantised", "concentrated", "duplicated"])
@pytest.mark.parametrize("tolerance", [1.0, 1e-12])
def test_bins_of_64_bits(native, name, tolerance):
    """The counters of more than 92 682 rows, whose pairs do not fit in 32 bits."""
    rng = np.random.default_rng(5)
    X = SPECIAL[name](rng)
    codes = rng.integers(0, 3, len(X))
    options = {"sort_limit": 0, "tolerance": tolerance}
    narrow = native.bounded_correlation(X, codes, **options)
    assert native.bounded_correlation(X, codes, narrow_limit=0, **options) == narrow
    Y = label_vectors("real", len(X), rng)
    narrow = native.bounded_correlation_vectors(X, Y, **options)
    assert native.bounded_correlation_vectors(X, Y, narrow_limit=0, **options) == narrow


def spearman_of_groups(rows, sizes):
    """The coefficient of rows that repeat, from exact integers: `sizes` (K, C) of row and class."""
    sizes = np.asarray(sizes, dtype=object)
    repeats = sizes.sum(axis=1)
    weights = (repeats / repeats.sum()).astype(float)
    centred = rows - weights @ rows
    unit = centred / np.sqrt(weights @ centred**2)
    distances = np.round(1.0 - np.corrcoef(unit), 9)
    counts = {}
    for g in range(len(rows)):
        for h in range(g, len(rows)):
            pairs, same = repeats[g] * repeats[h], sum(sizes[g] * sizes[h])
            if g == h:
                pairs = (pairs - repeats[g]) // 2
                same = (same - repeats[g]) // 2
            there = counts.get(distances[g, h], (0, 0))
            counts[distances[g, h]] = there[0] + same, there[1] + pairs - same
    same = different = twice_u = ties = 0
    for _, (s, d) in sorted(counts.items()):
        twice_u += d * (2 * same + s)
        ties += (s + d) ** 3 - (s + d)
        same, different = same + s, different + d
    n = same + different
    spread = Fraction(n**3 - n - ties, 12) * Fraction(same * different, n)
    return float(twice_u - same * different) / 2 / math.sqrt(spread), n, counts


@pytest.mark.exhaustive
def test_pairs_that_32_bits_cannot_count():
    """Few distinct rows: a bin for each of their distances, one of more than 2^32 pairs."""
    pytest.importorskip("transfer_kernels._native")
    native = implementation("parc_correlation", "native")
    rows = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, -0.4], [0.2, 0.5, 2.0]])
    sizes = [[60_000, 33_500], [200, 50], [10, 90]]
    expected, n_pairs, counts = spearman_of_groups(rows, sizes)
    assert n_pairs > 1 << 32 and max(map(sum, counts.values())) > 1 << 32
    X = np.repeat(rows, np.sum(sizes, axis=1), axis=0)
    codes = np.repeat(np.tile([0, 1], 3), np.ravel(sizes))
    value, _ = native.bounded_correlation(X, codes, tolerance=1.0)
    assert_close(value, expected, 1e-13)


def classes_of(n_classes, n=1100):
    """Rows enough for pairs to be looked up, and some of them in a class that nearly all have."""
    codes = np.random.default_rng(n_classes).integers(0, n_classes, n)
    return codes if n_classes > 2 else codes * (np.arange(n) < 40)


def assert_looked_up(native, X, codes, tolerance=1e-9):
    """Against sorting. The bound is 0 exactly where pairs were sorted after all."""
    exact, no_error = native.bounded_correlation(X, codes, lookup_share=0.0)
    value, bound = native.bounded_correlation(X, codes, lookup_share=1.0, tolerance=tolerance)
    assert no_error == 0.0 and 0.0 < bound <= tolerance
    assert_close(value, exact, bound + 4e-16)


@pytest.mark.parametrize("n_classes", [2, 3, 20, 400])
@pytest.mark.parametrize("d", [3, 40])
def test_pairs_looked_up(native, n_classes, d):
    codes = classes_of(n_classes)
    X = problem(len(codes), d, 1)[0] + codes[:, None] % 7 * np.linspace(0, 0.2, d)
    assert_looked_up(native, X, codes)
    assert_close(native.parc_correlation(X, codes), reference.parc_correlation(X, codes), 1e-9)


def with_duplicates(X, codes, rng):
    """Rows that occur two or three times, within a class and in two."""
    X[:30], codes[:30] = X[30:60], codes[30:60]
    X[60:120] = X[rng.integers(200, 230, 60)]


def with_rows_of_zeros(X, codes, rng):
    X[rng.integers(0, len(X), 3)] = X.mean(axis=0)


def with_few_values(X, codes, rng):
    X[...] = np.rint(3 * X)


def with_near_duplicates(X, codes, rng):
    """Two distances of nearly all pairs, some 1e-7 apart from each other."""
    X[...] = np.eye(len(X), X.shape[1]) + 1e-8 * X


@pytest.mark.parametrize("spoil", [with_duplicates, with_few_values, with_near_duplicates])
@pytest.mark.parametrize("n_classes", [2, 30])
def test_pairs_looked_up_with_ties(native, spoil, n_classes):
    rng = np.random.default_rng(1)
    codes = classes_of(n_classes)
    X = problem(len(codes), 9, 1)[0] + codes[:, None] % 3
    spoil(X, codes, rng)
    # However many ties there are, the bound holds; where they are too many, pairs are sorted.
    assert_looked_up(native, X, codes, tolerance=1.0)
    exact, _ = native.bounded_correlation(X, codes, lookup_share=0.0)
    value, bound = native.bounded_correlation(X, codes, lookup_share=1.0)
    assert bound <= 1e-9
    assert_close(value, exact, bound + 4e-16)


@pytest.mark.parametrize("spoil", [with_rows_of_zeros, with_near_duplicates])
def test_too_many_ties_are_sorted(native, spoil):
    codes = classes_of(30)
    X = problem(len(codes), 9, 1)[0] + codes[:, None] % 3
    spoil(X, codes, np.random.default_rng(1))
    exact = native.bounded_correlation(X, codes, lookup_share=0.0)
    assert exact[1] == 0.0
    assert native.bounded_correlation(X, codes, lookup_share=1.0, tolerance=1e-13) == exact


def test_equal_distances_are_not_looked_up(native):
    assert np.isnan(native.parc_correlation(np.ones((1100, 4)), classes_of(30)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_and_layouts_of_rows_looked_up(native, dtype):
    X, codes = problem(900, 12, 25)
    X = X.astype(dtype)
    wide = np.zeros((1800, 36), dtype)
    wide[::2, ::3] = X
    expected = native.bounded_correlation(X, codes)
    assert 0.0 < expected[1] <= 1e-9
    assert_close(expected[0], reference.parc_correlation(X, codes), 1e-9)
    for layout in (np.asfortranarray(X), wide[::2, ::3], X[::-1].copy()[::-1]):
        assert native.bounded_correlation(layout, codes) == expected


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_look_ups_do_not_depend_on_the_threads(native, monkeypatch, threads):
    X, codes = problem(1300, 7, 40)
    expected = native.bounded_correlation(X, codes)
    assert expected[1] > 0.0
    monkeypatch.setenv(VARIABLES[0], str(threads))
    assert native.bounded_correlation(X, codes) == expected


@pytest.mark.parametrize("shape", [(300, 7, 40), (1100, 7, 4), (800, 600, 40)], ids=str)
def test_pairs_are_sorted_where_that_is_faster(native, shape):
    """Few pairs, many within classes, or many features."""
    assert native.bounded_correlation(*problem(*shape))[1] == 0.0


@pytest.mark.exhaustive
def test_rows_packed_in_stripes(native):
    """Rows that repeat their features have the correlations of the features."""
    X, codes = problem(500, 24, 3)
    wide = np.repeat(X.astype(np.float32), 2500, axis=1)
    narrow = wide[:, ::2500]
    assert_close(native.parc_correlation(wide, codes), native.parc_correlation(narrow, codes))


@pytest.mark.parametrize("name", ["quantised", "duplicated", "concentrated", "offset"])
@pytest.mark.parametrize("kind", ["multi-label", "real"])
@pytest.mark.parametrize("tolerance", [1e-6, 0.0])
def test_bins_of_both_distances_keep_their_bound(native, name, kind, tolerance):
    rng = np.random.default_rng(5)
    X = SPECIAL[name](rng)
    Y = label_vectors(kind, len(X), rng)
    exact, no_error = native.bounded_correlation_vectors(X, Y)
    binned, bound = native.bounded_correlation_vectors(X, Y, sort_limit=0, tolerance=tolerance)
    assert no_error == 0.0 and bound <= tolerance
    assert_close(binned, exact, bound + 4e-16)


def test_coarse_bins_of_both_distances_are_counted_again(native):
    rng = np.random.default_rng(0)
    X, Y = (np.eye(600) + 1e-6 * rng.normal(size=(600, 600)) for _ in range(2))
    exact, _ = native.bounded_correlation_vectors(X, Y)
    coarse, bound = native.bounded_correlation_vectors(X, Y, sort_limit=0, tolerance=1.0)
    fine, fine_bound = native.bounded_correlation_vectors(X, Y, sort_limit=0, tolerance=1e-8)
    assert bound > 1e-3 and abs(coarse - exact) > 1e-6
    assert fine_bound <= 1e-8
    assert abs(coarse - exact) <= bound and abs(fine - exact) <= fine_bound


@pytest.mark.parametrize("sort_limit", [0, 2**26], ids=["bins", "sorts"])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_label_vectors_do_not_depend_on_the_threads(native, monkeypatch, sort_limit, threads):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(600, 7)), rng.normal(size=(600, 3))
    expected = native.bounded_correlation_vectors(X, Y, sort_limit=sort_limit)
    monkeypatch.setenv(VARIABLES[0], str(threads))
    assert native.bounded_correlation_vectors(X, Y, sort_limit=sort_limit) == expected


def test_label_vectors_of_many_rows(native):
    """Pairs enough for many buckets of the sort."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 12))
    Y = X[:, :4] + rng.normal(size=(1200, 4))
    assert_close(
        native.parc_correlation_vectors(X, Y), reference.parc_correlation_vectors(X, Y), 1e-11
    )


#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "parc_correlation": [(X, CODES)],
    "parc_correlation_vectors": [(X, Y)],
}
REFUSED = [
    ("parc_correlation", (X, CODES[1:]), ValueError, "the same length"),
    ("parc_correlation_vectors", (X, Y[1:]), ValueError, "the same length"),
]
