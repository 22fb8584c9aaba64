"""The compiled ops give the same bits for any number of threads, on every run, side by side."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import transfer_kernels.kernels
from transfer_kernels.kernels.logme_evidence import EvidenceRule, LargestEvidence
from transfer_kernels.ops.backends import implementation

pytest.importorskip("transfer_kernels._native")

KERNELS = Path(transfer_kernels.kernels.__file__).parent
THREADS = ["2", "3", "5"]


def problem(n, d, n_classes, dtype=np.float32):
    rng = np.random.default_rng(n + d)
    codes = rng.integers(0, n_classes, n)
    X = rng.normal(size=(n, d)) + rng.normal(size=(n_classes, d))[codes]
    return X.astype(dtype), codes


def scatter(shape, dtype=np.float32, weighted=False):
    X, codes = problem(*shape, 7, dtype)
    weights = np.random.default_rng(0).uniform(size=len(X)) if weighted else None

    def call(op):
        found = op.fisher_scatter(X, codes, 7, weights)
        upper = np.triu(found.shifted_gram)
        return found.counts, found.shifted_sums, upper, found.root_counts, found.shifted_root_sums

    return call


def challenge(shape, n_classes, mixed):
    X, codes = problem(*shape, n_classes)
    rng = np.random.default_rng(0)
    coef, anchors = rng.normal(size=(2, n_classes, shape[1]))
    mixing = (rng.uniform(size=len(X)), anchors) if mixed else None
    return lambda op: op.self_challenging(X, codes, 0.1 * coef, coef[:, 0], mixing)


def evidence(shape, n_targets, rule):
    """Of so many samples and features that threads share the reduction."""
    X = problem(*shape, 3, np.float64)[0]
    Y = X[:, :1] + np.random.default_rng(0).normal(size=(len(X), n_targets))
    dual = len(X) < X.shape[1]
    gram = X @ X.T if dual else X.T @ X
    moments = Y if dual else X.T @ Y
    squares = (Y**2).sum(axis=0)
    return lambda op: astuple(op.logme_evidence(gram, moments, squares, *X.shape, rule, dual))


def nonfinite(*shape):
    X = problem(*shape, 2)[0]
    X[len(X) // 2 :, 3] = np.nan
    return lambda op: op.first_nonfinite(X)


def correlation(shape, n_classes=6, **options):
    X, codes = problem(*shape, n_classes)
    X[: len(X) // 8] = X[-(len(X) // 8) :]  # ties
    return lambda op: op.bounded_correlation(X, codes, **options)


def correlation_of_vectors(shape, **options):
    X, codes = problem(*shape, 5)
    Y = np.eye(5)[codes] + (np.random.default_rng(0).random((len(X), 5)) < 0.3)
    return lambda op: op.bounded_correlation_vectors(X, Y, **options)


def statistics(shape, dtype):
    X, _ = problem(*shape, 3, dtype)
    return lambda op: op.row_statistics(X, np.linspace(-1.0, 1.0, shape[1]))


CASES = {
    "row_statistics": {
        "wide": statistics((300, 1100), np.float32),
        "narrow": statistics((5000, 37), np.float16),
    },
    "first_nonfinite": {"": nonfinite(3000, 70), "by columns": nonfinite(9000, 5)},
    "fisher_scatter": {
        "wide": scatter((700, 300)),
        "wide, weighted": scatter((500, 280), np.float64, weighted=True),
        "narrow": scatter((5000, 40), np.float16),
        "narrow, weighted": scatter((3000, 33), weighted=True),
    },
    "self_challenging": {
        "plain": challenge((900, 70), 11, mixed=False),
        "mixed": challenge((500, 400), 130, mixed=True),
    },
    "logme_evidence": {
        "largest": evidence((500, 230), 37, LargestEvidence()),
        "largest, dual": evidence((210, 260), 37, LargestEvidence()),
        "fixed point": evidence((500, 230), 37, EvidenceRule()),
        "warm start": evidence((500, 230), 7, EvidenceRule(warm_start=True)),
    },
    "parc_correlation": {
        "sorted": correlation((700, 30)),
        "looked up": correlation((1100, 30), 40),
        "binned": correlation((800, 30), sort_limit=0),
        "binned finely": correlation((800, 30), sort_limit=0, tolerance=1e-13),
        "binned in 64 bits": correlation((800, 30), sort_limit=0, narrow_limit=0),
        "vectors, sorted": correlation_of_vectors((500, 30)),
        "vectors, binned": correlation_of_vectors((500, 30), sort_limit=0, tolerance=1e-6),
    },
}


#: Other ops have their cases in their own tests, as SAME_BITS.
for path in sorted(KERNELS.glob("*/native_cpu.py")):
    tests = import_module(f"test_{path.parent.name}")
    if hasattr(tests, "SAME_BITS"):
        CASES[path.parent.name] = tests.SAME_BITS


def bits(results):
    return [None if one is None else np.asarray(one).tobytes() for one in results or ()]


def test_every_compiled_op_is_here():
    folders = KERNELS.glob("*/native_cpu.py")
    # class_scatter's Gram matrices are fisher_scatter's, its determinants LAPACK's.
    assert CASES.keys() == {path.parent.name for path in folders} - {"class_scatter"}


#: Beyond what 800 samples have pairs for: it takes seconds.
LONG = [pytest.param("parc_correlation", "binned finely", marks=pytest.mark.exhaustive)]


@pytest.mark.parametrize(
    "op,case",
    [(op, c) for op, cases in CASES.items() for c in cases if c != "binned finely"] + LONG,
)
def test_same_bits(native_isa, monkeypatch, op, case):
    version, call = implementation(op, "native"), CASES[op][case]
    monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", "1")
    once = bits(call(version))
    assert once
    for n_threads in THREADS:
        monkeypatch.setenv("TRANSFER_KERNELS_NUM_THREADS", n_threads)
        assert bits(call(version)) == once, n_threads
    with ThreadPoolExecutor(2) as pool:
        assert all(found == once for found in pool.map(lambda _: bits(call(version)), range(4)))
