"""self_challenging: every version against the definition, on awkward shapes, types and layouts."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from example_arrays import ANCHORS, CODES, MEANS, ORIGIN, SHARES, C, X

from transfer_kernels.kernels.self_challenging import reference
from transfer_kernels.ops.backends import implementation

# Below, at and above what the blocks, panels and tiles of the compiled version divide.
SHAPES = [
    (1, 1, 1), (2, 1, 2), (5, 3, 2), (95, 12, 4), (96, 192, 10), (97, 193, 3), (100, 17, 37),
    (300, 40, 130), (50, 400, 11), (130, 64, 1000),
]  # fmt: skip


def problem(n, d, n_classes, seed=0, dtype=np.float64, scale=1.0):
    """X, codes, coef, intercept and mixing, with discriminants of the order of `scale`."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    codes = rng.integers(0, n_classes, n)
    coef = rng.normal(size=(n_classes, d)) * (scale / np.sqrt(d))
    intercept = rng.normal(size=n_classes) * scale
    mixing = rng.random(n), rng.normal(size=(n_classes, d))
    return X, codes, coef, intercept, mixing


def assert_same(actual, expected):
    for got, want in zip(actual, expected, strict=True):
        assert got.dtype == np.float64 and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-300)


@pytest.fixture
def self_challenging(backend):
    return implementation("self_challenging", backend).self_challenging


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_shapes(self_challenging, shape, mixed):
    *arguments, mixing = problem(*shape)
    mixing = mixing if mixed else None
    expected = reference.self_challenging(*arguments, mixing)
    assert_same(self_challenging(*arguments, mixing), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_and_layouts(self_challenging, dtype):
    X, codes, coef, intercept, mixing = problem(230, 210, 7, dtype=dtype)
    wide = np.zeros((460, 630), dtype)
    wide[::2, ::3] = X
    unaligned = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(dtype).reshape(X.shape)
    layouts = (X, np.asfortranarray(X), wide[::2, ::3], X[::-1, ::-1], unaligned,
               np.broadcast_to(X[3], X.shape), np.broadcast_to(X[:, 3:4], X.shape))  # fmt: skip
    for layout in layouts:
        before = layout.tobytes()
        layout.flags.writeable = False
        expected = reference.self_challenging(layout.astype(float), codes, coef, intercept, mixing)
        assert_same(self_challenging(layout, codes, coef, intercept, mixing), expected)
        assert layout.tobytes() == before


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])
@pytest.mark.parametrize("mixed", [False, True], ids=["plain", "mixed"])
def test_huge_discriminants(self_challenging, scale, mixed):
    # Multiples of 1/64 make every product exact, so that only the softmaxes can differ.
    X, codes, coef, intercept, (q, anchors) = problem(150, 20, 9, scale=scale)
    X, coef, intercept, anchors, q = (
        np.round(array * 64) / 64 for array in (X, coef, intercept, anchors, q)
    )
    codes[:75] = np.argmax(X[:75] @ coef.T + intercept, axis=1)
    mixing = (q, anchors) if mixed else None
    posterior, challenge = self_challenging(X, codes, coef, intercept, mixing)
    expected = reference.self_challenging(X, codes, coef, intercept, mixing)
    assert np.isfinite(posterior).all() and np.isfinite(challenge).all()
    np.testing.assert_allclose(posterior, expected[0], rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(challenge, expected[1], rtol=1e-12)
    assert (posterior > 0.99).any() and (posterior < 1e-6).any()


def test_exact_ties(self_challenging):
    X, codes, coef, intercept, _ = problem(60, 8, 6)
    posterior, challenge = self_challenging(X, codes, 0.0 * coef, 0.0 * intercept)
    np.testing.assert_allclose(posterior, 1 / 6, rtol=1e-14)
    np.testing.assert_allclose(challenge, 1 / 6, rtol=1e-14)
    posterior, challenge = self_challenging(X, 0 * codes, coef[:1], intercept[:1])
    np.testing.assert_array_equal(posterior, 1.0)
    np.testing.assert_array_equal(challenge, 1.0)


def test_share_of_one_and_zero(self_challenging):
    X, codes, coef, intercept, (_, anchors) = problem(140, 15, 5)
    plain = self_challenging(X, codes, coef, intercept)
    assert_same(self_challenging(X, codes, coef, intercept, (np.ones(140), anchors)), plain)
    at_anchors = self_challenging(anchors[codes], codes, coef, intercept)
    assert_same(self_challenging(X, codes, coef, intercept, (np.zeros(140), anchors)), at_anchors)


def test_same_bits_again(self_challenging, backend, monkeypatch):
    arguments = problem(700, 60, 21, dtype=np.float32)
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "2")

    def bits(_=None):
        return b"".join(part.tobytes() for part in self_challenging(*arguments))

    once = bits()
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(bits, range(16))) == {once}
    if backend == "native":
        for n_threads in ("1", "3", "5", "40"):
            monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
            assert bits() == once


def test_inputs_stay(self_challenging):
    X, codes, coef, intercept, (q, anchors) = problem(120, 33, 5)
    arrays = (X, codes, coef, intercept, q, anchors)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    self_challenging(X, codes, coef, intercept, (q, anchors))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_coefficients_of_any_layout(self_challenging):
    X, codes, coef, intercept, (q, anchors) = problem(90, 13, 4)
    expected = reference.self_challenging(X, codes, coef, intercept, (q, anchors))
    actual = self_challenging(
        X,
        codes,
        np.asfortranarray(coef),
        np.repeat(intercept, 2)[::2],
        (np.repeat(q, 2)[::2], np.asfortranarray(anchors)),
    )
    assert_same(actual, expected)


def test_binding_refuses_what_does_not_fit():
    native = pytest.importorskip("transfer_kernels._native")
    X, codes, coef, intercept, (q, anchors) = problem(20, 4, 3)
    arguments = dict(
        X=X, codes=codes, coef=coef, intercept=intercept, share=q, anchors=anchors,
        posterior=np.zeros(20), challenge=np.zeros(20), isa="baseline", n_threads=1,
    )  # fmt: skip
    native.self_challenging(**arguments)
    for name, wrong in [
        ("codes", codes + 3), ("codes", codes - 1), ("coef", np.zeros((3, 5))),
        ("intercept", np.zeros(4)), ("share", q[1:]), ("share", None), ("anchors", None),
        ("anchors", np.zeros((4, 4))), ("posterior", np.zeros(19)), ("challenge", np.zeros(21)),
        ("n_threads", 0), ("isa", ""), ("X", X[:0]),
    ]:  # fmt: skip
        with pytest.raises(ValueError):
            native.self_challenging(**{**arguments, name: wrong})


SHORT = (SHARES[1:], MEANS)

#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "self_challenging": [
        (X, CODES, MEANS, MEANS[:, 0]),
        (X, CODES, MEANS, MEANS[:, 0], (SHARES, ANCHORS)),
    ],
}
REFUSED = [
    ("self_challenging", (X, CODES, MEANS[:, 1:], ORIGIN[:C]), ValueError, r"coef .*C, 13"),
    ("self_challenging", (X, CODES, MEANS, ORIGIN), ValueError, r"intercept .*\(4,\)"),
    ("self_challenging", (X, CODES, MEANS, ORIGIN[:C], SHARES), TypeError, "mixing must be"),
    ("self_challenging", (X, CODES, MEANS, ORIGIN[:C], SHORT), ValueError, r"mixing\[0\]"),
    ("self_challenging", (X, CODES, MEANS + 0j, ORIGIN[:C]), TypeError, "coef"),
]
