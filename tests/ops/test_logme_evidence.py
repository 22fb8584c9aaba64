"""logme_evidence: every backend against the definition, an exact oracle, and degenerate input."""

import threading

import numpy as np
import pytest
from example_arrays import D, F, N, Y

from transfer_kernels.kernels.logme_evidence import EvidenceRule, LargestEvidence, reference
from transfer_kernels.ops.backends import implementation

RULES = {
    "evidence": EvidenceRule(),
    "rank only": EvidenceRule(full_spectrum=False),
    "epsilon inside": EvidenceRule(tolerance=1e-2, epsilon_in_evidence=True),
    "no epsilon": EvidenceRule(epsilon=0.0, tolerance=1e-2),
    "warm start": EvidenceRule(full_spectrum=False, warm_start=True),
    "long": EvidenceRule(tolerance=1e-9, max_rounds=60),
}
FIELDS = ("evidences", "alphas", "betas", "ratios")


def make_features(n, d, seed=0, scale=1.0, offset=0.0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) * np.linspace(2.0, 0.2, d) / np.sqrt(d)
    return scale * (rng.normal(size=(n, d)) @ mixing) + offset


def make_targets(X, n_targets, seed=1):
    """Indicators of classes that the features tell in part."""
    rng = np.random.default_rng(seed)
    signal = X @ rng.normal(size=(X.shape[1], n_targets)) / (np.linalg.norm(X) / np.sqrt(len(X)))
    labels = np.argmax(signal + 0.3 * rng.normal(size=signal.shape), axis=1)
    return np.eye(n_targets)[labels]


DEFAULT = EvidenceRule()


def arguments(X, Y, rule=DEFAULT):
    """What the op is given for these features and targets; NaN below the diagonal."""
    n, d = X.shape
    dual = n < d
    gram = X @ X.T if dual else X.T @ X
    gram[np.tril_indices(len(gram), -1)] = np.nan
    return gram, Y if dual else X.T @ Y, (Y * Y).sum(axis=0), n, d, rule, dual


def evidence(backend, *args):
    return implementation("logme_evidence", backend).logme_evidence(*args)


def assert_close(found, expected, rtol=1e-9):
    for field in FIELDS:
        a, b = getattr(found, field), getattr(expected, field)
        assert a.shape == b.shape and a.dtype == np.float64
        # An evidence is the difference of terms of order one a sample.
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol if field == "evidences" else 0)


SHAPES = [
    (1, 1), (2, 1), (3, 2), (9, 8), (50, 23), (50, 24), (60, 25), (120, 47), (130, 48), (150, 97),
    (400, 131), (500, 200), (2, 5), (7, 40), (97, 300),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("n_targets", [1, 3, 17])
def test_equals_the_definition(backend, shape, n_targets):
    X = make_features(*shape)
    for rule in RULES.values():
        args = arguments(X, make_targets(X, n_targets), rule)
        assert_close(evidence(backend, *args), reference.logme_evidence(*args))


@pytest.mark.parametrize("shape", [(9, 6), (60, 25), (400, 131), (7, 40), (97, 300)], ids=str)
@pytest.mark.parametrize("n_targets", [1, 3, 17])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_the_largest_evidence_equals_the_definition(backend, shape, n_targets, scale):
    X = make_features(*shape, scale=scale)
    Y = make_targets(X, n_targets) + 0.1 * np.random.default_rng(4).normal(size=(len(X), n_targets))
    args = arguments(X, Y, LargestEvidence())
    found, expected = evidence(backend, *args), reference.logme_evidence(*args)
    # Where the model without noise is best, a version may leave it to the features themselves.
    told = (expected.ratios > 0.0) | np.isfinite(found.evidences)
    np.testing.assert_allclose(
        found.evidences[told], expected.evidences[told], rtol=1e-11, atol=1e-11
    )
    inner = np.isfinite(expected.ratios) & (expected.ratios > 0.0)
    np.testing.assert_allclose(found.ratios[inner], expected.ratios[inner], rtol=1e-5)
    np.testing.assert_allclose(found.betas[inner], expected.betas[inner], rtol=1e-5)


def test_the_search_does_not_depend_on_neighbours_or_threads(backend, monkeypatch):
    X = make_features(300, 200)
    gram, moments, squares, *rest = arguments(X, make_targets(X, 13), LargestEvidence())
    together = evidence(backend, gram, moments, squares, *rest)
    for k in range(13):
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", str(1 + k % 3))
        alone = evidence(backend, gram, moments[:, k : k + 1], squares[k : k + 1], *rest)
        assert alone.evidences[0] == pytest.approx(together.evidences[k], rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_scales(backend, scale, rule):
    X = make_features(300, 60, scale=scale)
    args = arguments(X, make_targets(X, 10), RULES[rule])
    assert_close(evidence(backend, *args), reference.logme_evidence(*args))


def test_real_targets_of_any_size(backend):
    X = make_features(200, 30)
    rng = np.random.default_rng(3)
    Y = X @ rng.normal(size=(30, 5)) * 10.0 ** np.arange(-6, 4, 2) + rng.normal(size=(200, 5))
    args = arguments(X, Y)
    assert_close(evidence(backend, *args), reference.logme_evidence(*args))


def test_targets_do_not_depend_on_their_neighbours(backend):
    X = make_features(150, 40)
    gram, moments, squares, *rest = arguments(X, make_targets(X, 13))
    together = evidence(backend, gram, moments, squares, *rest)
    for k in range(13):
        alone = evidence(backend, gram, moments[:, k : k + 1], squares[k : k + 1], *rest)
        for field in FIELDS:
            np.testing.assert_allclose(
                getattr(alone, field)[0], getattr(together, field)[k], rtol=1e-11
            )


def exact_evidence(X, Y, rule):
    """The definition by a singular value decomposition in extended precision."""
    mpmath = pytest.importorskip("mpmath")
    n, d = X.shape
    with mpmath.workdps(60):
        gram = mpmath.matrix(X.T.tolist()) * mpmath.matrix(X.tolist())
        values, vectors = mpmath.eigsy(gram)
        s = [max(v, mpmath.mpf(0)) for v in values]
        projections = vectors.T * (mpmath.matrix(X.T.tolist()) * mpmath.matrix(Y.tolist()))
        results = []
        for k in range(Y.shape[1]):
            p = [projections[i, k] ** 2 for i in range(d)]
            square = mpmath.fsum(mpmath.mpf(y) ** 2 for y in Y[:, k])
            alpha = beta = mpmath.mpf(1)
            for _ in range(rule.max_rounds):
                t = alpha / beta
                gamma = mpmath.fsum(v / (v + t) for v in s)
                norm = mpmath.fsum(q / (v + t) ** 2 for q, v in zip(p, s, strict=True))
                residual = square - t * norm
                residual -= mpmath.fsum(q / (v + t) for q, v in zip(p, s, strict=True))
                alpha, beta = gamma / (norm + rule.epsilon), (n - gamma) / (residual + rule.epsilon)
                if abs(alpha / beta - t) <= rule.tolerance * t:
                    break
            value = d * mpmath.log(alpha) + n * mpmath.log(beta) - beta * residual - alpha * norm
            value -= mpmath.fsum(mpmath.log(alpha + beta * v) for v in s)
            value -= n * mpmath.log(2 * mpmath.pi)
            results.append(float(value / (2 * n)))
    return np.array(results)


def rank_deficient(kind):
    X = make_features(60, 20)
    if kind == "duplicate columns":
        X[:, 10:15] = X[:, 5:10]
    elif kind == "constant columns":
        X[:, 3:6] = [0.0, 1.0, -7.0]
    elif kind == "low rank":
        X = make_features(60, 5) @ np.random.default_rng(5).normal(size=(5, 20))
    elif kind == "badly scaled":
        X *= 10.0 ** np.linspace(-4, 3, 20)
    elif kind == "offset":
        X += 1e3
    return X


@pytest.mark.parametrize(
    "kind", ["duplicate columns", "constant columns", "low rank", "badly scaled", "offset"]
)
def test_ill_conditioned_against_extended_precision(backend, kind):
    X = rank_deficient(kind)
    Y = make_targets(X - X.mean(axis=0), 4)
    exact = exact_evidence(X, Y, EvidenceRule())
    found = evidence(backend, *arguments(X, Y)).evidences
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-7 if kind == "offset" else 1e-9)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("shape", [(40, 12), (12, 40)], ids=["primal", "dual"])
@pytest.mark.parametrize(
    "kind", ["no features", "no target", "exact fit", "tiny", "huge", "rank one"]
)
def test_degenerate_input_stays_finite(backend, kind, shape, rule):
    X = make_features(*shape)
    Y = make_targets(X, 3)
    if kind == "no features":
        X = np.zeros(shape)
    elif kind == "no target":
        Y[:, 1] = 0.0
    elif kind == "exact fit":
        Y = X @ np.random.default_rng(2).normal(size=(shape[1], 3))
    elif kind == "tiny":
        X *= 1e-30
    elif kind == "huge":
        X *= 1e30
    elif kind == "rank one":
        X = np.outer(X[:, 0], X[0])
    found = evidence(backend, *arguments(X, Y, RULES[rule]))
    for field in FIELDS:
        assert np.isfinite(getattr(found, field)).all(), field
    assert (found.alphas > 0).all() and (found.betas > 0).all()


def test_class_that_does_not_occur(backend):
    X = make_features(80, 20)
    Y = make_targets(X, 4)
    Y[:, 2] = 0.0
    for rule in (EvidenceRule(), EvidenceRule(full_spectrum=False)):
        args = arguments(X, Y, rule)
        assert_close(evidence(backend, *args), reference.logme_evidence(*args))


def test_no_targets(backend):
    X = make_features(10, 4)
    found = evidence(backend, *arguments(X, np.zeros((10, 0))))
    assert all(getattr(found, field).shape == (0,) for field in FIELDS)


def test_input_is_neither_changed_nor_needed_in_any_layout(backend):
    X = make_features(90, 31)
    gram, moments, squares, *rest = arguments(X, make_targets(X, 6))
    expected = reference.logme_evidence(gram, moments, squares, *rest)
    wide = np.full((62, 62), np.inf)
    wide[::2, ::2] = gram
    layouts = [
        (np.asfortranarray(gram), np.asfortranarray(moments), squares[::-1].copy()[::-1]),
        (wide[::2, ::2], moments[::-1].copy()[::-1], squares),
    ]
    for arrays in layouts:
        before = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        assert_close(evidence(backend, *arrays, *rest), expected)
        for array, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("shape", [(450, 210), (200, 230)], ids=["primal", "dual"])
def test_threads(backend, shape, monkeypatch):
    X = make_features(*shape)
    for rule in (EvidenceRule(), EvidenceRule(warm_start=True)):
        args = arguments(X, make_targets(X, 25), rule)
        expected = reference.logme_evidence(*args)
        for n_threads in (1, 2, 3, 5):
            monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", str(n_threads))
            found = evidence(backend, *args)
            assert_close(found, expected)
            again = evidence(backend, *args)
            for field in FIELDS:
                np.testing.assert_array_equal(getattr(found, field), getattr(again, field))


def test_concurrent_callers_get_the_same_bits(backend):
    X = make_features(300, 200)
    args = arguments(X, make_targets(X, 20))
    expected = evidence(backend, *args)
    found = [None] * 8

    def call(i):
        found[i] = evidence(backend, *args)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(one, field), getattr(expected, field))


EVIDENCE = (F.T @ F, F.T @ Y, (Y * Y).sum(axis=0), N, D)
DUAL = (F[:9] @ F[:9].T, Y[:9], (Y[:9] ** 2).sum(axis=0), 9, D)
EVERY_RULE = (
    LargestEvidence(),
    EvidenceRule(),
    EvidenceRule(full_spectrum=False, warm_start=True),
)

#: Calls that all versions answer alike, and what is refused: test_ops.py makes them.
EXAMPLES = {
    "logme_evidence": [(*EVIDENCE, rule) for rule in EVERY_RULE]
    + [(*DUAL, rule, True) for rule in EVERY_RULE],
}
REFUSED = [
    ("logme_evidence", (np.eye(3), *EVIDENCE[1:]), ValueError, r"gram .*\(13, 13\)"),
    ("logme_evidence", (*EVIDENCE[:2], np.ones(2), N, D), ValueError, r"squares .*\(3,\)"),
    ("logme_evidence", (*EVIDENCE, "thuml"), TypeError, "rule must be an EvidenceRule"),
    ("logme_evidence", (*EVIDENCE[:3], N, 13.0), TypeError, "n_features must be an integer"),
]
