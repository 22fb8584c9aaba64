"""Every op that there is, on every backend of the CPU, held to its reference.

The ops are found on disk, their functions in their manifests, and examples of calls in their tests,
EXAMPLES and REFUSED: an op without them fails. Its own tests say more; these that none is left out.
"""

import ast
import dataclasses
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import transfer_kernels.kernels
from transfer_kernels.kernels.declarations import declarations
from transfer_kernels.ops.backends import BACKENDS, implementation

KERNELS = Path(transfer_kernels.kernels.__path__[0])
OPS = sorted(path.parent.name for path in KERNELS.glob("*/__init__.py"))
TESTS = {op: import_module(f"test_{op}") for op in OPS}
#: Arguments for every function of every op, by its name; several where it has modes.
EXAMPLES = {name: calls for tests in TESTS.values() for name, calls in tests.EXAMPLES.items()}
#: A public op, its good arguments but one, the error and what it says of that one; options.
REFUSED = [call for tests in TESTS.values() for call in tests.REFUSED]

#: Where the evidence is largest it is flat: these are half as certain as it is.
FLAT = dict.fromkeys(["alphas", "betas", "ratios"], 1e-6)


def reference_of(op):
    return import_module(f"transfer_kernels.kernels.{op}.reference")


def functions_of(op):
    """Names of the functions that an op's manifest declares."""
    return [name for name, one in declarations().items() if one.folder == op]


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
    names = functions_of(op)
    assert names
    for name in names:
        for arguments in EXAMPLES[name]:
            expected = getattr(reference_of(op), name)(*copied(arguments))
            found = getattr(implementation(op, backend), name)(*copied(arguments))
            compare(upper_only(name, found), upper_only(name, expected))


def test_every_op_has_its_own_tests():
    """In tests/ops/test_<op>.py, which hold its versions to the reference by themselves."""
    folder = Path(__file__).parent
    for op in OPS:
        text = (folder / f"test_{op}.py").read_text()
        assert "backend" in text and "reference" in text, op


@pytest.mark.parametrize("call", REFUSED, ids=lambda call: f"{call[0]}, {call[3]}")
def test_public_ops_name_the_argument_that_does_not_fit(call):
    op, arguments, error, text, *options = call
    with pytest.raises(error, match=text):
        getattr(transfer_kernels.ops, op)(*arguments, **dict(*options))


def test_public_ops_leave_their_arguments_alone():
    for name, calls in EXAMPLES.items():
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
    assert set(declarations()) == {name for name, *_ in REFUSED} == set(EXAMPLES)


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
    versions = {"__init__", "manifest", "reference"} | {
        m for backend in BACKENDS for m in backend.modules
    }
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


@pytest.mark.parametrize("op", OPS)
def test_manifests_declare_the_reference_s_arguments(op):
    found = arguments_in(KERNELS / op / "reference.py")
    for name in functions_of(op):
        declared = declarations()[name]
        *parameters, backend = inspect.signature(declared.function).parameters
        assert backend == "backend"
        assert set(declared.arguments) == set(parameters), name
        arguments = found[name]
        assert parameters[: len(arguments)] == arguments, name
        more = parameters[len(arguments) :]  # which the declaration's own call deals with
        assert not more or declared.call is not None, name


def arguments_in(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name: [argument.arg for argument in node.args.args] for node in functions}
