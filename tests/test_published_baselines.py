"""The benchmarks' baselines against the values of the published implementations themselves."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # `bench` is not installed

from bench import published  # noqa: E402

GOLDENS = ROOT / "tests" / "goldens"
#: Relative spread under permutations above which a published value is arbitrary, hence no golden.
NO_GOLDEN = 1e-2
LOGME_VARIANTS = {
    "fixed_point": "thuml",
    "fixed_point_full_spectrum": "thuml-full-spectrum",
    "icml": "thuml-icml",
    "tllib": "tllib",
    "tllib_2d": "tllib",
    "transformer_ranker": "transformer-ranker",
}
BASELINES = {
    "sfda": published.sfda,
    "sfda_f64": lambda X, y: published.sfda(X.astype(np.float64), y),
    "sfda_shrinkage": lambda X, y: published.FisherDiscriminant().fit(X, y).shrinkage,
    "parc": published.parc,
    "parc_exact_both": lambda X, y: published.parc(X, y, exact_ties=True),
    "parc_32": lambda X, y: published.parc(X, y, 32),
    "parc_32_exact_both": lambda X, y: published.parc(X, y, 32, exact_ties=True),
}


@cache
def golden_file(name):
    return json.loads((GOLDENS / name).read_text())


@cache
def golden_arrays(case):
    """Features, labels or regression targets, and whether they are regression targets."""
    with np.load(GOLDENS / f"{case}.npz") as arrays:
        X, regression = arrays["X"], "Y" in arrays
        target = arrays["Y" if regression else "y"]
    X.flags.writeable = target.flags.writeable = False
    return X, target, regression


@cache
def logme_fit(case, variant):
    X, target, regression = golden_arrays(case)
    return published.logme(X, target, variant, regression)


def baseline_value(case, key):
    """What the baseline gives for a golden key."""
    name = key.removeprefix("logme_").removeprefix("regression_")
    field = name.rpartition("_")[2] if name.endswith(("_alphas", "_betas")) else "score"
    variant = LOGME_VARIANTS.get(name.removesuffix(f"_{field}"))
    if key.startswith("logme_") and variant:
        return getattr(logme_fit(case, variant), field)
    X, target, _ = golden_arrays(case)
    return BASELINES[key](X, target)


def has_baseline(key):
    return key in BASELINES or any(
        key in (f"{prefix}{name}", f"{prefix}{name}_alphas", f"{prefix}{name}_betas")
        for prefix in ("logme_", "logme_regression_")
        for name in LOGME_VARIANTS
    )


def golden_cases():
    """One parameter for every golden value that has a baseline and a noise below `NO_GOLDEN`."""
    for case, noises in golden_file("noise.json").items():
        for key in filter(has_baseline, noises):
            spread = max(value for value in noises[key].values() if value is not None)
            if golden_file("scores.json")[case][key] is not None and spread <= NO_GOLDEN:
                yield pytest.param(case, key, spread, id=f"{case}-{key}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("case, key, noise", list(golden_cases()))
def test_baseline_equals_published_value(case, key, noise):
    expected = golden_file("scores.json")[case][key]
    got = baseline_value(case, key)
    error = np.max(np.abs(np.subtract(got, expected))) / np.max(np.abs(expected))
    assert error <= max(1e-9, 10.0 * noise)


def test_published_parc_depends_on_the_class_numbers_where_the_exact_value_does_not():
    """Why `parc` itself is no oracle: rounding noise of one-hot rows breaks the ties of labels."""
    rng = np.random.default_rng(5)
    y = rng.integers(5, size=120)
    X = rng.normal(size=(120, 6)) + y[:, None]
    renumbered = np.array([3, 0, 4, 1, 2])[y] + 2
    exact = published.parc(X, y, exact_ties=True)
    assert published.parc(X, renumbered, exact_ties=True) == pytest.approx(exact, rel=1e-12)
    assert published.parc(X, y) == pytest.approx(exact, rel=0.2)


def test_gram_baselines_agree():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(90, 7)).astype(np.float32)
    codes = rng.integers(4, size=90)
    weights = rng.random(90)
    for w in (None, weights):
        direct = np.einsum("i,ij,ik->jk", np.ones(90) if w is None else w, X, X, dtype=np.float64)
        np.testing.assert_allclose(published.gram(X, w), direct, rtol=1e-12, atol=1e-12)
        upper = np.triu(published.gram_dsyrk(X, w))
        np.testing.assert_allclose(upper, np.triu(direct), rtol=1e-12, atol=1e-12)
        sums = published.class_sums(X, codes, 4, w)
        total = direct_sum(X, w)
        np.testing.assert_allclose(sums.sum(axis=0), total, rtol=1e-12, atol=1e-12)


def direct_sum(X, weights):
    return (X.astype(np.float64) * (1.0 if weights is None else weights[:, None])).sum(axis=0)
