"""LogME's largest evidence on hostile features, on every backend.

Against mpmath at 60 digits, and on a grid of features against a Jacobi SVD in long double.
"""

import warnings
from functools import cache

import numpy as np
import pytest
from conftest import VARIANTS, variant_id
from long_double import IS_WIDE, largest_evidences, singular_vectors

import transfer_kernels as tk
from transfer_kernels.kernels.logme_evidence import EvidenceRule
from transfer_kernels.kernels.logme_evidence import shared_centred as centred
from transfer_kernels.kernels.logme_evidence import shared_factored as factored
from transfer_kernels.kernels.logme_evidence import shared_profile as profile
from transfer_kernels.metrics import logme as module

#: The definition always factors the features; these look at the Gram matrix first.
FAST = [variant for variant in VARIANTS if variant[0] != "reference"]
SHAPES = {"n > d": (120, 8), "n < d": (12, 20)}
KINDS = [
    "plain", "one column 1e8", "time stamps", "ids", "offset 1e4", "offset 1e6", "offset 1e7",
    "one row 1e6", "one row 1e8", "constant column 1e8", "column scales", "dependent", "dead",
]  # fmt: skip


def hostile(kind, shape):
    """Features and labels of four classes."""
    n, d = SHAPES[shape]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    y = np.argmax(X[:, :4] + rng.normal(size=(n, 4)), axis=1)
    if kind == "one column 1e8":
        X[:, 5] *= 1e8
    elif kind == "time stamps":
        X[:, 5] = 1.7e9 + 60.0 * np.arange(n)
    elif kind == "ids":
        X[:, 5] = 1e6 + np.arange(n)
    elif kind.startswith("offset"):
        X += float(kind.split()[1])
    elif kind.startswith("one row"):
        X[n // 2] *= float(kind.split()[2])
    elif kind == "constant column 1e8":
        X[:, 5] = 1e8
    elif kind == "column scales":
        X *= 10.0 ** np.linspace(-6, 6, d)
    elif kind == "dependent":
        X[:, 6], X[:, 7] = X[:, 1], 2.0 * X[:, 0]
    elif kind == "dead":
        X[:, 6] = 0.0
    return X, y


@cache
def spectrum(kind, shape):
    """Squares s of singular values and, for each class, coordinates p and rest, in 60 digits."""
    import mpmath as mp

    X, y = hostile(kind, shape)
    n, d = X.shape
    with mp.workdps(60):
        F = mp.matrix(X.tolist())
        values, vectors = mp.eigsy(F.T * F if n >= d else F * F.T)
        kept = [i for i in range(len(values)) if values[i] > max(values) * mp.mpf(10) ** -45]
        s = [values[i] for i in kept]
        targets = []
        for c in np.unique(y):
            Y = mp.matrix((y == c).astype(float).tolist())
            image = vectors.T * (F.T * Y if n >= d else Y)
            p = [image[i] ** 2 / (values[i] if n >= d else 1) for i in kept]
            targets.append((p, mp.fsum(Y) - mp.fsum(p)))
    return n, d, s, targets


@cache
def exact_score(kind, shape):
    """Mean largest evidence: every local minimum on a fine grid of ln t, refined."""
    import mpmath as mp

    n, _, s, targets = spectrum(kind, shape)
    scores = []
    with mp.workdps(60):
        for p, rest in targets:

            def cost(x, p=p, rest=rest):
                t = mp.e**x
                q = rest + mp.fsum(a * t / (b + t) for a, b in zip(p, s, strict=True))
                return mp.fsum(mp.log(1 + b / t) for b in s) + n * mp.log(q / n)

            best = n * mp.log((mp.fsum(p) + rest) / n)
            if len(s) == n:  # the model without noise
                inverse = mp.fsum(a / b for a, b in zip(p, s, strict=True))
                best = min(best, mp.fsum(mp.log(b) for b in s) + n * mp.log(inverse / n))
            grid = [mp.log(min(s)) - 8 + mp.mpf(k) / 2 for k in range(400)]
            grid = [x for x in grid if x < mp.log(max(s)) + 10]
            costs = [cost(x) for x in grid]
            for low, cost_low, here, cost_high, high in zip(
                grid, costs, costs[1:], costs[2:], grid[2:], strict=False
            ):
                if here < cost_low and here <= cost_high:
                    while high - low > 1e-9:
                        third = (high - low) / 3
                        if cost(low + third) < cost(high - third):
                            high -= third
                        else:
                            low += third
                    best = min(best, cost(low))
            scores.append(-(best + n + n * mp.log(2 * mp.pi)) / (2 * n))
        return float(mp.fsum(scores) / len(scores))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_against_mpmath(backend, kind, shape):
    pytest.importorskip("mpmath")
    X, y = hostile(kind, shape)
    assert tk.logme(X, y, backend=backend) == pytest.approx(exact_score(kind, shape), rel=1e-9)


def test_the_oracle_in_long_double():
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(6)
    A = rng.normal(size=(9, 6)) @ np.diag(10.0 ** -np.arange(0, 12, 2)) @ rng.normal(size=(6, 6))
    left, sigma = singular_vectors(A)
    with mp.workdps(60):
        F = mp.matrix(A.tolist())
        exact = sorted((mp.sqrt(v) for v in mp.eigsy(F.T * F, eigvals_only=True)), reverse=True)
        wide = [mp.mpf(float(s)) + mp.mpf(float(s - float(s))) for s in sigma]
        errors = [abs(s / e - 1) for s, e in zip(wide, exact, strict=True)]
    assert float(max(errors)) < 1e13 * np.finfo(np.longdouble).eps  # the condition number is 1e11
    np.testing.assert_allclose((left.T @ left).astype(np.float64), np.eye(6), atol=1e-15)
    for shape in SHAPES:
        for kind in ("plain", "offset 1e6", "one row 1e6"):
            X, y = hostile(kind, shape)
            found = largest_evidences(X, np.eye(4)[y][:, np.unique(y)]).mean()
            assert found == pytest.approx(exact_score(kind, shape), rel=1e-12)


CONDITIONS = [1e2, 1e4, 1e6, 1e7, 1e8, 1e9, 1e10, 1e12, 1e14, 1e16]
GRID_SHAPES = {"n > d": (90, 20), "n < d": (25, 60), "n = d": (30, 30)}
GRID_KINDS = ["plain", "offset", "one row", "one column", "rank deficient"]


def on_grid(kind, shape, condition, noise):
    """Features of a condition number, and targets that all their directions have a part in."""
    n, d = GRID_SHAPES[shape]
    r = min(n, d)
    rng = np.random.default_rng(7)
    left, right = (np.linalg.qr(rng.normal(size=(k, r)))[0] for k in (n, d))
    sizes = condition ** -np.linspace(0.0, 1.0, r)
    if kind == "rank deficient":
        sizes[r // 2 :] = 0.0
    elif kind != "plain":  # ordinary, and the condition number by that alone
        sizes = 10.0 ** -np.linspace(0.0, 1.0, r)
    X = np.sqrt(n) * (left * sizes) @ right.T
    if kind == "offset":
        X += condition * rng.normal(size=d) / np.sqrt(d)
    elif kind == "one row":
        X[n // 2] *= condition
    elif kind == "one column":
        X[:, d // 2] *= condition
    Y = left @ rng.normal(size=(r, 3)) + noise * rng.normal(size=(n, 3))
    return X, Y


@cache
def on_grid_exact(*case):
    return largest_evidences(*on_grid(*case))


@pytest.mark.skipif(not IS_WIDE, reason="long double is no wider than float64 here")
@pytest.mark.parametrize("noise", [1.0, pytest.param(1e-2, marks=pytest.mark.exhaustive), 1e-5])
@pytest.mark.parametrize("shape", GRID_SHAPES)
@pytest.mark.parametrize("kind", GRID_KINDS)
def test_right_or_warned_of(backend, kind, shape, noise):
    for condition in CONDITIONS:
        X, Y = on_grid(kind, shape, condition, noise)
        expected = on_grid_exact(kind, shape, condition, noise)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = tk.logme(X, Y, True, backend=backend)
        error = abs(found / expected.mean() - 1.0)
        warned = any("rounding errors" in str(warning.message) for warning in caught)
        # Jacobi keeps the digits of columns of any size, not those that an offset of all drowns.
        doubt = 20.0 * np.finfo(np.longdouble).eps * condition if kind == "offset" else 0.0
        assert warned or error <= 1e-9 + doubt, (condition, error)
        # Nothing is warned of where a target leaves some noise.
        assert not warned or noise < 1.0 or condition > 1e7, condition


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_close_fits_far_from_zero_against_mpmath(backend, offset):
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(8)
    n, d = 40, 4
    left = np.linalg.qr(rng.normal(size=(n, d)))[0]
    X = np.sqrt(n) * left * 10.0 ** -np.linspace(0, 1, d) + offset * rng.normal(size=d)
    y = left @ rng.normal(size=d) + 1e-2 * rng.normal(size=n)
    with mp.workdps(60):
        F, Y = mp.matrix(X.tolist()), mp.matrix(y.tolist())
        s, vectors = mp.eigsy(F.T * F)
        image = vectors.T * (F.T * Y)
        p = [image[i] ** 2 / s[i] for i in range(d)]
        rest = mp.fsum(v**2 for v in Y) - mp.fsum(p)

        def cost(x):
            q = rest + mp.fsum(a * mp.e**x / (b + mp.e**x) for a, b in zip(p, s, strict=True))
            return mp.fsum(mp.log(1 + b / mp.e**x) for b in s) + n * mp.log(q / n)

        centre = min((mp.mpf(k) / 4 for k in range(-120, 300)), key=cost)
        best = min(cost(centre + mp.mpf(k) / 4000) for k in range(-1000, 1001, 10))
        expected = float(-(best + n + n * mp.log(2 * mp.pi)) / (2 * n))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = tk.logme(X, y, True, backend=backend)
    assert found == pytest.approx(expected, abs=1e-5)
    if backend != "reference":
        assert not caught


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["offset 1e7", "one row 1e8"])
def test_tensors_are_factored_alike(kind, shape):
    torch = pytest.importorskip("torch")
    X, y = hostile(kind, shape)
    targets = np.eye(4)[y]
    rule = module.VARIANTS["evidence"].rule
    expected = factored.evidence(X, targets, rule)
    found = factored.evidence(torch.tensor(X), targets, rule)
    np.testing.assert_allclose(found.evidences, expected.evidences, rtol=1e-9)
    ratios = np.full(4, 0.5)
    np.testing.assert_allclose(
        X @ factored.weights(torch.tensor(X), targets, torch.tensor(ratios)).numpy().T,
        X @ factored.weights(X, targets, ratios).T,
        atol=1e-6,
    )


def exact_fixed_point(kind, shape, rule):
    import mpmath as mp

    n, d, s, targets = spectrum(kind, shape)
    scores = []
    with mp.workdps(60):
        for p, rest in targets:
            alpha = beta = mp.mpf(1)
            for _ in range(rule.max_rounds):
                t = alpha / beta
                gamma = mp.fsum(b / (b + t) for b in s)
                norm = mp.fsum(a * b / (b + t) ** 2 for a, b in zip(p, s, strict=True))
                residual = rest + mp.fsum(a * (t / (b + t)) ** 2 for a, b in zip(p, s, strict=True))
                alpha = gamma / (norm + rule.epsilon)
                beta = (n - gamma) / (residual + rule.epsilon)
                if abs(alpha / beta - t) <= rule.tolerance * t:
                    break
            value = len(s) * mp.log(alpha) + n * mp.log(beta) - beta * residual - alpha * norm
            value -= mp.fsum(mp.log(alpha + beta * b) for b in s) + n * mp.log(2 * mp.pi)
            scores.append(value / (2 * n))
        return float(mp.fsum(scores) / len(scores))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("time stamps", "column scales")])
def test_published_fixed_point_against_mpmath(backend, kind):
    pytest.importorskip("mpmath")
    X, y = hostile(kind, "n > d")
    expected = exact_fixed_point(kind, "n > d", EvidenceRule())
    found = tk.logme(X, y, variant="thuml-full", backend=backend)
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("shape", [(90, 12), (30, 50), (20, 20)], ids=str)
@pytest.mark.parametrize("factor", [1e-100, 1e-50, 1e-6, 1e-3, 300.0, 1e6, 1e50, 1e150])
def test_the_unit_of_the_features_does_not_matter(backend, shape, factor):
    rng = np.random.default_rng(1)
    X = rng.normal(size=shape)
    y = np.argmax(X[:, :3] + rng.normal(size=(len(X), 3)), axis=1)
    with np.errstate(all="raise"):
        found = tk.logme(factor * X, y, backend=backend)
    assert found == pytest.approx(tk.logme(X, y, backend=backend), rel=1e-11)


@pytest.mark.parametrize("factor", [1e-70, 1e6, 1e70])
def test_the_unit_of_targets_is_a_constant(backend, factor):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 7))
    Y = X @ rng.normal(size=(7, 2)) + rng.normal(size=(80, 2))
    found = tk.logme(X, factor * Y, True, backend=backend)
    expected = tk.logme(X, Y, True, backend=backend) - np.log(factor)
    assert found == pytest.approx(expected, rel=1e-11)


def test_exact_fits_have_no_maximum(backend):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 5))
    y = X @ rng.normal(size=5) * 1e6
    with pytest.warns(tk.UninformativeScoreWarning, match="exactly"):
        assert tk.logme(X, y, True, backend=backend) == np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide = tk.logme(rng.normal(size=(20, 60)), y[:20], True, backend=backend)
    assert np.isfinite(wide)


def test_features_of_zeros_are_the_null_model(backend):
    y = np.repeat([0, 1], 10)
    expected = -0.5 * (np.log(0.5) + 1.0 + np.log(2.0 * np.pi))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tk.logme(np.zeros((20, 3)), y, backend=backend)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_larger_of_two_maxima(backend):
    # A loud direction that explains a little, and quiet ones that explain the rest or not.
    rng = np.random.default_rng(4)
    Q = np.linalg.qr(rng.normal(size=(200, 30)))[0]
    for strength in (0.3, 2.0, 4.0):
        y = 3.0 * Q[:, 0] + strength * Q[:, 1:].sum(axis=1) + 0.5 * rng.normal(size=200)
        X = Q * np.r_[1e3, np.full(29, 1e-1)]
        s, p = np.r_[1e6, np.full(29, 1e-2)], (Q.T @ y) ** 2
        x = np.linspace(-20.0, 30.0, 200001)
        left = [1.0 / (1.0 + v / np.exp(x)) for v in s[:2]]
        q = y @ y - p.sum() + p[0] * left[0] + p[1:].sum() * left[1]
        cost = -np.log(left[0]) - 29.0 * np.log(left[1]) + 200.0 * np.log(q / 200.0)
        best = -0.5 * (cost.min() / 200.0 + 1.0 + np.log(2.0 * np.pi))
        assert tk.logme(X, y, True, backend=backend) == pytest.approx(best, rel=1e-8)


def refuse(*_):
    raise AssertionError("left the fast path")


def ordinary(kind, shape):
    """Features as networks give them, float32, and labels that they tell in part."""
    rng = np.random.default_rng(5)
    n, d = shape
    X = rng.normal(size=shape)
    if kind == "relu":
        X = np.maximum(X @ rng.normal(size=(d, d)), 0.0)
        X[:, 3] = 0.0
    elif kind == "decay":
        X = (X * np.exp(-8.0 * np.arange(d) / d)) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    elif kind == "pooled":
        X = abs(X) * rng.lognormal(size=d) + 0.1 * rng.normal(size=(n, 1))
    signal = (X - X.mean(axis=0)) @ rng.normal(size=(d, 5)) / (np.sqrt(d) * X.std())
    return X.astype(np.float32), np.argmax(signal + 0.5 * rng.normal(size=(n, 5)), axis=1)


@pytest.mark.parametrize("backend", FAST, indirect=True, ids=variant_id)
@pytest.mark.parametrize("shape", [(500, 60), (61, 60), (60, 60), (60, 61), (60, 200)], ids=str)
@pytest.mark.parametrize("kind", ["noise", "relu", "decay", "pooled"])
def test_ordinary_features_need_their_gram_matrix_alone(backend, kind, shape, monkeypatch):
    X, y = ordinary(kind, shape)
    expected = tk.logme(X, y, backend="reference")
    monkeypatch.setattr(factored, "evidence_and_error", refuse)
    for variant in module.VARIANTS:
        tk.logme(X, y, variant=variant, backend=backend)
    monkeypatch.setattr(module.logme_centred, "evidence", refuse)
    assert tk.logme(X, y, backend=backend) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("backend", FAST, indirect=True, ids=variant_id)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dependent"])
def test_hostile_features_need_no_factorisation(backend, kind, shape, monkeypatch):
    monkeypatch.setattr(factored, "evidence_and_error", refuse)
    X, y = hostile(kind, shape)
    assert tk.logme(X, y, backend=backend) == pytest.approx(exact_score(kind, shape), rel=1e-9)
    assert tk.logme(X, np.eye(4)[y][:, np.unique(y)], True, backend=backend) == pytest.approx(
        exact_score(kind, shape), rel=1e-9
    )


@pytest.mark.parametrize("backend", FAST, indirect=True, ids=variant_id)
def test_offsets_of_many_columns_with_fewer_samples_are_factored(backend):
    rng = np.random.default_rng(9)
    X = rng.normal(size=(20, 30)) + 1e7 * rng.normal(size=30)
    y = rng.integers(0, 3, 20)
    expected = largest_evidences(X, np.eye(3)[y]).mean()
    assert tk.logme(X, y, backend=backend) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("backend", FAST, indirect=True, ids=variant_id)
@pytest.mark.parametrize("shape", [(30, 30), (30, 45), (300, 310)], ids=str)
def test_the_model_without_noise(backend, shape, monkeypatch):
    rng = np.random.default_rng(10)
    n, d = shape
    X = rng.normal(size=shape)
    Y = X @ rng.normal(size=(d, 9)) / np.sqrt(d)
    rule = module.VARIANTS["evidence"].rule
    expected = factored.evidence(X, Y, rule)
    assert (expected.ratios == 0.0).any() and (expected.ratios > 0.0).any()
    monkeypatch.setattr(factored, "evidence_and_error", refuse)
    monkeypatch.setattr(module.logme_centred, "evidence", refuse)
    found = module.fit(module.Problem(X, Y, backend), True)
    np.testing.assert_allclose(found.evidences, expected.evidences, rtol=1e-9)
    np.testing.assert_array_equal(found.ratios == 0.0, expected.ratios == 0.0)
    np.testing.assert_array_equal(np.isinf(found.betas), expected.ratios == 0.0)
    np.testing.assert_allclose(found.alphas, expected.alphas, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["offset 1e7", "one column 1e8", "one row 1e8", "plain"])
def test_centred_tensors_alike(kind, shape):
    torch = pytest.importorskip("torch")
    X, y = hostile(kind, shape)
    n, d = X.shape
    rule = module.VARIANTS["evidence"].rule
    rows, loud = (X.T, [5]) if n < d else (X, [n // 2])
    loud = np.array(loud if "row" in kind or "column" in kind else [], dtype=int)
    quiet = np.ones(len(rows))
    quiet[loud] = 0.0
    scatter = tk.ops.fisher_scatter(rows, np.zeros(len(rows), dtype=int), 1, quiet)
    targets = np.eye(4)[y][:, np.unique(y)]
    squares = targets.sum(axis=0)
    sums = quiet @ targets if n > d else targets
    moments = (rows - scatter.means[0]).T @ (quiet[:, None] * targets) if n > d else None

    def search(gram, moments, squares, n, d, rule, dual, known):  # as GPUs' versions do
        return profile.from_gram(gram, moments, squares, n, dual, known)

    found = []
    for convert in (np.asarray, torch.tensor):
        fields = {name: convert(value) for name, value in vars(scatter).items()}
        found.append(
            centred.evidence(
                tk.ops.FisherScatter(**fields),
                None if moments is None else convert(moments),
                sums,
                squares,
                n,
                d,
                rule,
                n <= d,
                convert(rows[loud]),
                targets[loud] if n > d else None,
                search,
            )
        )
    if found[0] is None:
        assert found[1] is None
    else:
        np.testing.assert_allclose(found[1].evidences, found[0].evidences, rtol=1e-11)
        assert found[0].evidences.mean() == pytest.approx(exact_score(kind, shape), rel=1e-9)


def test_weights_on_hostile_features(backend):
    X, y = hostile("offset 1e6", "n > d")
    model = tk.LogME(backend=backend).fit(X, y)
    d = X.shape[1]
    for c, w, alpha, beta in zip(
        model.classes_, model.weights_, model.alphas_, model.betas_, strict=True
    ):
        ridge = np.vstack([X, np.sqrt(alpha / beta) * np.eye(d)])
        expected = np.linalg.lstsq(ridge, np.r_[y == c, np.zeros(d)], rcond=None)[0]
        np.testing.assert_allclose(X @ w, X @ expected, atol=1e-7)


def test_a_class_wise_scatter_serves_a_regression_too(monkeypatch):
    monkeypatch.setattr(factored, "evidence_and_error", refuse)
    X, y = hostile("offset 1e6", "n > d")
    problem = module.Problem(X, y)
    assert len(problem.scatter.counts) == 4
    expected = largest_evidences(X, y[:, None].astype(float)).mean()
    assert module.compute(problem, regression=True) == pytest.approx(expected, rel=1e-9)
