"""Every op that there is, on every backend of the CPU, held to its reference.

The ops and their functions are found on disk: one without an example here fails. Each op's own
tests say more; these say that none is left out.
"""

import ast
import dataclasses
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import transfer_kernels.kernels
from transfer_kernels.ops import EvidenceRule, LargestEvidence
from transfer_kernels.ops.backends import BACKENDS, implementation

KERNELS = Path(transfer_kernels.kernels.__path__[0])
OPS = sorted(path.parent.name for path in KERNELS.glob("*/__init__.py"))
N, D, C = 90, 13, 4

#: Where the evidence is largest it is flat: these are half as certain as it is.
FLAT = dict.fromkeys(["alphas", "betas", "ratios"], 1e-6)


def reference_of(op):
    return import_module(f"transfer_kernels.kernels.{op}.reference")


def functions_of(op):
    """Names of the functions that an op's reference defines for others."""
    module = reference_of(op)
    public = implementation(op, "reference")
    return [
        name
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and name in transfer_kernels.ops.__all__
        and callable(getattr(public, name))
    ]


def example_data():
    rng = np.random.default_rng(7)
    codes = np.concatenate([np.arange(C), rng.integers(0, C, N - C)])
    X = rng.normal(size=(N, D)) * np.linspace(1.0, 0.2, D) + 0.5 * rng.normal(size=(C, D))[codes]
    Y = X[:, :3] + rng.normal(size=(N, 3))
    return X.astype(np.float32), Y, codes, rng


def examples():
    """Arguments for every function of every op, by its name; several where it has modes."""
    X, Y, codes, rng = example_data()
    F = X.astype(np.float64)
    within, means = F.T @ F / N, rng.normal(size=(C, D))
    broken = X.copy()
    broken[40, 7] = broken[60, 2] = np.nan
    mixing = (rng.random(N), rng.normal(size=(C, D)))
    evidence = (F.T @ F, F.T @ Y, (Y * Y).sum(axis=0), N, D)
    few = F[:9]
    dual = (few @ few.T, Y[:9], (Y[:9] ** 2).sum(axis=0), 9, D)
    rules = (LargestEvidence(), EvidenceRule(), EvidenceRule(full_spectrum=False, warm_start=True))
    return {
        "class_logdets": [(X, codes, C, F.mean(axis=0), np.full(C, 3.0))],
        "first_nonfinite": [(X,), (broken,), (broken.T,)],
        "within_scatter": [(within, means, mixing[1], N)],
        "dominant_eigenvalue": [(within, np.ones(D))],
        "fisher_discriminant": [(within, means, 0.2, D)],
        "fisher_scatter": [(X, codes, C), (X, codes, C, rng.random(N)), (X, codes, C + 2)],
        "log_determinant": [(within, 2.0)],
        "logme_evidence": [(*evidence, rule) for rule in rules]
        + [(*dual, rule, True) for rule in rules],
        "parc_correlation": [(X, codes)],
        "parc_correlation_vectors": [(X, Y)],
        "quadratic_forms": [(within, F.T @ Y)],
        "randomized_pca": [(X, 5)],
        "row_space": [(X[:9],)],
        "row_statistics": [(X, F.mean(axis=0))],
        "self_challenging": [
            (X, codes, means, means[:, 0]),
            (X, codes, means, means[:, 0], mixing),
        ],
        "target_moments": [(X, Y)],
    }


def copied(arguments):
    """The arguments again: versions may consume what an op's contract lets them."""
    return [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]


def compare(found, expected, tolerance=1e-9):
    if expected is None or isinstance(expected, int):
        assert found == expected
    elif dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            pair = (upper_only(field.name, getattr(r, field.name)) for r in (found, expected))
            compare(*pair, FLAT.get(field.name, tolerance))
    elif isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            compare(one, other, tolerance)
    else:
        scale = np.abs(expected).max(initial=0.0)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


def upper_only(name, value):
    """Of some matrices the upper triangle alone is promised."""
    return np.triu(value) if name in {"within_scatter", "shifted_gram"} else value


@pytest.mark.parametrize("op", OPS)
def test_every_function_agrees_with_its_reference(op, backend):
    names, calls = functions_of(op), examples()
    assert names
    for name in names:
        for arguments in calls[name]:
            expected = getattr(reference_of(op), name)(*copied(arguments))
            found = getattr(implementation(op, backend), name)(*copied(arguments))
            compare(upper_only(name, found), upper_only(name, expected))


def test_every_op_has_its_own_tests():
    """In tests/test_<op>.py, which hold its versions to the reference by themselves."""
    folder = Path(__file__).parent
    for op in OPS:
        text = (folder / f"test_{op}.py").read_text()
        assert "backend" in text and "reference" in text, op


def refused():
    """A public op, its good arguments but one, and what is said of that one."""
    X, Y, codes, rng = example_data()
    within, means, origin = np.eye(D), rng.normal(size=(C, D)), np.zeros(D)
    shares, text = rng.random(N), np.full((C, D), "a")
    evidence = (np.eye(D), np.zeros((D, 2)), np.ones(2), N, D)
    yield "first_nonfinite", (X[0],), {}, ValueError, "X must be two-dimensional"
    yield "fisher_scatter", (X, codes, 0), {}, ValueError, "n_classes=0 is out of range"
    yield "fisher_scatter", (X, codes, 2.0), {}, TypeError, "n_classes must be an integer"
    yield "fisher_scatter", (X, codes, C), {"shift": origin[1:]}, ValueError, r"shift .*\(13,\)"
    yield "within_scatter", (X, means, means, N), {}, ValueError, r"gram .*\(d, d\), not \(90, 13\)"
    yield "within_scatter", (within, means, means[1:], N), {}, ValueError, r"right .*\(4, 13\)"
    yield "within_scatter", (within, means, means, 0), {}, ValueError, "n_samples=0"
    yield "within_scatter", (within, text, means, N), {}, TypeError, "left has dtype <U1"
    yield (
        "dominant_eigenvalue",
        (within, origin[1:]),
        {},
        ValueError,
        r"ones .*\(13,\)",
    )
    yield (
        "fisher_discriminant",
        (within, means[:, 1:], 0.1, D),
        {},
        ValueError,
        r"means .*C, 13",
    )
    yield "fisher_discriminant", (within, means, 1.5, D), {}, ValueError, "shrinkage=1.5 is out of"
    yield "fisher_discriminant", (within, means, 0.1, 0), {}, ValueError, "n_features=0 is out of"
    overwrite = {"overwrite_within": True}
    columns = np.asfortranarray(within + np.arange(D))
    yield "fisher_discriminant", (columns, means, 0.1, D), overwrite, ValueError, "C-ordered"
    yield (
        "fisher_discriminant",
        (within.tolist(), means, 0.1, D),
        overwrite,
        ValueError,
        "C-ordered",
    )
    yield "self_challenging", (X, codes, means[:, 1:], origin[:C]), {}, ValueError, r"coef .*C, 13"
    yield "self_challenging", (X, codes, means, origin), {}, ValueError, r"intercept .*\(4,\)"
    yield "self_challenging", (X, codes, means, origin[:C], shares), {}, TypeError, "mixing must be"
    pair = (shares[1:], means)
    yield (
        "self_challenging",
        (X, codes, means, origin[:C], pair),
        {},
        ValueError,
        r"mixing\[0\]",
    )
    yield "self_challenging", (X, codes, means.astype(complex), origin[:C]), {}, TypeError, "coef"
    yield "row_space", (X,), {}, ValueError, r"fewer rows than columns, not shape \(90, 13\)"
    yield "row_space", (X[:9].astype(str),), {}, TypeError, "X has dtype <U"
    yield "target_moments", (X, Y[1:]), {}, ValueError, r"Y must be of shape \(90, K\)"
    yield (
        "target_moments",
        (X, Y[:, 0]),
        {},
        ValueError,
        r"Y must be of shape \(90, K\)",
    )
    yield "randomized_pca", (X, 14), {}, ValueError, "n_components=14 is out of range"
    yield "logme_evidence", (np.eye(3), *evidence[1:]), {}, ValueError, r"gram .*\(13, 13\)"
    yield "logme_evidence", (*evidence[:2], np.ones(3), N, D), {}, ValueError, r"squares .*\(2,\)"
    yield "logme_evidence", (*evidence, "thuml"), {}, TypeError, "rule must be an EvidenceRule"
    yield "logme_evidence", (*evidence[:3], N, 13.0), {}, TypeError, "n_features must be an integer"
    yield "quadratic_forms", (X, means), {}, ValueError, r"gram must be of shape \(m, m\)"
    yield "quadratic_forms", (within, means), {}, ValueError, r"columns .*\(13, K\)"
    yield "log_determinant", (within, -1.0), {}, ValueError, "scale=-1.0 is out of range"
    yield "log_determinant", (text, 1.0), {}, TypeError, "gram has dtype <U1"
    logdets = (X, codes, C, origin)
    yield "class_logdets", (*logdets, np.ones(C - 1)), {}, ValueError, r"scales .*\(4,\)"
    yield "class_logdets", (*logdets, -np.ones(C)), {}, ValueError, "scales must be finite and not"
    yield "class_logdets", (X, codes, C, X, np.ones(C)), {}, ValueError, r"shift .*\(13,\)"
    yield "row_statistics", (X, origin[1:]), {}, ValueError, r"shift must be of shape \(13,\)"
    yield "parc_correlation", (X, codes[1:]), {}, ValueError, "the same length"
    yield "parc_correlation_vectors", (X, Y[1:]), {}, ValueError, "the same length"


@pytest.mark.parametrize(("op", "arguments", "options", "error", "text"), list(refused()))
def test_public_ops_name_the_argument_that_does_not_fit(op, arguments, options, error, text):
    with pytest.raises(error, match=text):
        getattr(transfer_kernels.ops, op)(*arguments, **options)


def test_public_ops_leave_their_arguments_alone():
    for name, calls in examples().items():
        for arguments in calls:
            before = copied(arguments)
            for array in arguments:
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
            getattr(transfer_kernels.ops, name)(*arguments)
            for array, copy in zip(arguments, before, strict=True):
                if isinstance(array, np.ndarray):
                    np.testing.assert_array_equal(array, copy)


def test_every_public_op_is_refused_something():
    functions = {name for op in OPS for name in functions_of(op)}
    assert functions == {name for name, *_ in refused()}


@pytest.mark.parametrize("op", OPS)
def test_every_version_takes_the_reference_s_arguments(op):
    """Those for a GPU, which cannot all be imported here, by their text."""
    wanted = {name: arguments_in(KERNELS / op / "reference.py")[name] for name in functions_of(op)}
    paths = [path for path in (KERNELS / op).glob("*_*.py") if path.stem.endswith(("cpu", "gpu"))]
    assert paths
    for path in paths:
        found = arguments_in(path)
        for name, arguments in wanted.items():
            if name in found:  # else it is another module's, imported there
                assert found[name][: len(arguments)] == arguments, f"{path.name}: {name}"


@pytest.mark.parametrize("op", OPS)
def test_every_module_of_an_op_says_whose_it_is(op):
    """A version's name, or whom it helps: "for the GPU versions" in its name and first line."""
    versions = {"__init__", "reference"} | {m for backend in BACKENDS for m in backend.modules}
    helped = {
        "shared": "For every version: ",
        "lapack": "For the CPU versions: ",
        "tensor": "For the GPU versions: ",
        "numba": "For the Numba version: ",
        "native": "For the C++ version: ",
        "triton": "For the Triton version: ",
        "cuda": "For the CUDA version: ",
    }
    for path in (KERNELS / op).glob("*.py"):
        if path.stem not in versions:
            first_line = path.read_text().partition("\n")[0]
            assert first_line.startswith('"""' + helped[path.stem.partition("_")[0]]), path


def arguments_in(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: [argument.arg for argument in node.args.args] for node in functions}
