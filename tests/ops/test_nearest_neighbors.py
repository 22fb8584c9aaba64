"""nearest_neighbors: every version against the definition, with features that defeat float32."""

import numpy as np
import pytest
from example_arrays import X
from sklearn.neighbors import NearestNeighbors

from transfer_kernels.kernels.nearest_neighbors import reference
from transfer_kernels.kernels.nearest_neighbors.shared_voting import vote
from transfer_kernels.ops.backends import implementation

METRICS = ("euclidean", "cosine")


@pytest.fixture
def op(backend):
    return implementation("nearest_neighbors", backend)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def assert_same(found, expected):
    assert found[0].dtype == np.int64 and found[1].dtype == np.float64
    np.testing.assert_array_equal(found[0], expected[0])
    largest = expected[1].max()
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-12, atol=1e-14 * min(1.0, largest))


def normal(rng, n, d, dtype=np.float32):
    return rng.normal(size=(n, d)).astype(dtype)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(2, 1), (5, 3), (40, 600), (400, 17), (1100, 31)], ids=str)
def test_equals_the_definition(op, rng, shape, metric):
    if metric == "cosine":
        shape = (shape[0], max(2, shape[1]))  # of one feature there are two directions
    for dtype in (np.float16, np.float32, np.float64):
        X = normal(rng, *shape, dtype)
        for k in {1, min(3, len(X) - 1), min(11, len(X) - 1)}:
            assert_same(
                op.nearest_neighbors(X, k, metric), reference.nearest_neighbors(X, k, metric)
            )


@pytest.mark.parametrize("metric", METRICS)
def test_among_others(op, rng, metric):
    X, others = normal(rng, 400, 20), normal(rng, 900, 20, np.float64)
    others[5] = X[7]
    found = op.nearest_neighbors(X, 4, metric, others)
    assert_same(found, reference.nearest_neighbors(X, 4, metric, others))
    assert found[0][7, 0] == 5 and found[1][7, 0] == 0.0
    few = others[:3]
    assert_same(
        op.nearest_neighbors(X, 3, metric, few), reference.nearest_neighbors(X, 3, metric, few)
    )


@pytest.mark.parametrize("metric", METRICS)
def test_any_strides(op, rng, metric):
    X = normal(rng, 60, 40)
    expected = reference.nearest_neighbors(X, 5, metric)
    wide = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    for layout in (np.asfortranarray(X), wide, X[::-1, ::-1].copy()[::-1, ::-1]):
        layout.flags.writeable = False
        assert_same(op.nearest_neighbors(layout, 5, metric), expected)


#: Features of which products in float32 do not tell the nearest.
HARD = {
    "near copies": lambda X, rng: np.repeat(X[:30], 10, 0) + 1e-5 * rng.normal(size=(300, 40)),
    "nearer copies": lambda X, rng: np.repeat(X[:30], 10, 0) + 1e-12 * rng.normal(size=(300, 40)),
    "duplicates": lambda X, rng: np.repeat(X[:60], 5, 0),
    "an offset": lambda X, rng: (X + 1000.0).astype(np.float32),
    "a large offset": lambda X, rng: X.astype(np.float64) + 1e9,
    "few integers": lambda X, rng: rng.integers(0, 3, (300, 6)).astype(np.float32),
    "a loud row": lambda X, rng: X * np.where(np.arange(300) == 7, 1e12, 1.0)[:, None],
    "loud columns": lambda X, rng: X * np.where(np.arange(40) < 3, 1e9, 1.0),
    "huge": lambda X, rng: X.astype(np.float64) * 1e305,
    "tiny": lambda X, rng: X.astype(np.float64) * 1e-305,
    "of many sizes": lambda X, rng: X * 10.0 ** rng.integers(-30, 30, (300, 1)),
    "constant": lambda X, rng: np.ones_like(X),
    "zeros": lambda X, rng: X * (np.arange(300) % 9 > 0)[:, None],
}


@pytest.mark.parametrize("features", HARD)
@pytest.mark.parametrize("metric", METRICS)
def test_none_is_missed(op, rng, features, metric):
    """By their distances: of those that differ by rounding alone, either may be the nearer."""
    X = HARD[features](normal(rng, 300, 40), rng)
    indices, distances = op.nearest_neighbors(X, 4, metric)
    expected, nearest = reference.nearest_neighbors(X, 4, metric)
    chord = 1e-13 if metric == "cosine" else 0.0  # as its distances are rounded
    np.testing.assert_allclose(distances, nearest, rtol=1e-12, atol=chord)
    assert (indices != np.arange(300)[:, None]).all()
    alike = np.isclose(nearest[:, 1:], nearest[:, :-1], rtol=1e-12, atol=chord).any(axis=1)
    np.testing.assert_array_equal(indices[~alike], expected[~alike])
    if features in ("duplicates", "constant") or (features, metric) == ("few integers", METRICS[0]):
        np.testing.assert_array_equal(indices, expected)  # these tie exactly


def test_of_equal_distances_the_lower_index_comes_first(op):
    X = np.ones((40, 3), np.float32)
    indices, distances = op.nearest_neighbors(X, 3)
    assert not distances.any()
    assert indices[0].tolist() == [1, 2, 3] and indices[1].tolist() == [0, 2, 3]
    assert (indices[4:] == [0, 1, 2]).all()


def test_a_row_of_zeros_is_as_far_from_all_others(op, rng):
    X = normal(rng, 30, 5)
    X[[4, 20]] = 0.0
    indices, distances = op.nearest_neighbors(X, 3, "cosine")
    assert indices[4].tolist() == [20, 0, 1] and distances[4].tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("metric", METRICS)
def test_the_definition_beside_scikit_learn(rng, metric):
    X = normal(rng, 200, 9, np.float64)
    found = reference.nearest_neighbors(X, 5, metric)
    distances, indices = NearestNeighbors(
        n_neighbors=6, metric=metric, algorithm="brute"
    ).fit(X).kneighbors()  # fmt: skip
    np.testing.assert_array_equal(found[0], indices[:, :5])
    np.testing.assert_allclose(found[1], distances[:, :5], rtol=1e-9)


def plain_vote(indices, codes, own, ties):
    shares = np.zeros(len(indices))
    for i, neighbours in enumerate(codes[indices]):
        classes, counts = np.unique(neighbours, return_counts=True)
        winners = classes[counts == counts.max()]
        if ties == "smallest":
            winners = winners[:1]
        shares[i] = (own[i] in winners) / len(winners)
    return shares


@pytest.mark.parametrize("ties", ["share", "smallest"])
@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_votes(rng, ties, k):
    indices, codes = rng.integers(0, 50, (90, k)), rng.integers(0, 3, 50)
    own = rng.integers(0, 3, 90)
    found = vote(indices, codes, own, ties)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, plain_vote(indices, codes, own, ties), rtol=1e-15)
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(vote(torch.from_numpy(indices), codes, own, ties), found)


def test_tied_votes():
    codes = np.array([2, 1, 1, 0, 2])
    indices = np.array([[0, 1, 2, 4], [0, 1, 3, 3], [0, 1, 3, 0]])
    assert vote(indices, codes, np.array([2, 1, 2])).tolist() == [0.5, 0.0, 1.0]
    assert vote(indices, codes, np.array([2, 1, 2]), "smallest").tolist() == [0.0, 0.0, 1.0]
    assert vote(indices, codes, np.array([1, 0, 0]), "smallest").tolist() == [1.0, 1.0, 0.0]


def test_same_bits_whatever_the_threads(op, rng, monkeypatch):
    X = normal(rng, 900, 33)
    expected = op.nearest_neighbors(X, 3)
    for n_threads in ("1", "2", "5"):
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        for found, value in zip(op.nearest_neighbors(X, 3), expected, strict=True):
            np.testing.assert_array_equal(found, value)


EXAMPLES = {"nearest_neighbors": [(X, 3), (X, 2, "cosine"), (X, 4, "euclidean", X[:9])]}

REFUSED = [
    ("nearest_neighbors", (X, 90), ValueError, "k=90 is out of range: each row of X has 89 others"),
    ("nearest_neighbors", (X, 2.0), TypeError, "k must be an integer"),
    ("nearest_neighbors", (X, 3, "l1"), ValueError, "metric='l1' is unknown; choose one of"),
    ("nearest_neighbors", (X, 3, "cosine", X[:2]), ValueError, "others has 2 rows"),
    ("nearest_neighbors", (X, 3, "cosine", X[:, 1:]), ValueError, r"others .* \(m, 13\)"),
]


def _neighbours(shape, metric="euclidean"):
    rows = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    rows[: len(rows) // 8] = rows[-(len(rows) // 8) :]  # ties
    return lambda op: op.nearest_neighbors(rows, 4, metric)


SAME_BITS = {"two blocks": _neighbours((700, 300)), "cosine": _neighbours((900, 7), "cosine")}
