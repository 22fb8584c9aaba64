"""The PyTorch operators: torch's own checks, whole-graph compilation, values beside the ops'."""

from importlib import import_module

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk

torch = pytest.importorskip("torch")

from transfer_kernels.kernels.declarations import declarations  # noqa: E402
from transfer_kernels.ops import torch_ops  # noqa: E402

N_CLASSES = 4
X, y = make_problem(60, 6, N_CLASSES)


def _evidence():
    counts, sums, gram = torch_ops.fisher_scatter(
        torch.from_numpy(X), torch.from_numpy(y), N_CLASSES
    )
    return gram, sums.T, counts, len(X), 6


def _as_tensors(arguments):
    """An op's arguments as its operator takes them: tensors, and pairs one by one."""
    for argument in arguments:
        if isinstance(argument, tuple):
            yield from _as_tensors(argument)
        elif isinstance(argument, np.ndarray):
            yield torch.from_numpy(argument.copy())
        else:
            yield argument


EVIDENCE = _evidence()
FIXED_POINT = (False, 1e-5, 1e-3, 11, False, True, False)  # the default settings
#: Op name and arguments of some calls of each: the examples that the ops' tests hold.
CALLS = {
    f"{name}, {i}": (name, tuple(_as_tensors(arguments)))
    for folder in sorted({one.folder for one in declarations().values()})
    for name, calls in import_module(f"test_{folder}").EXAMPLES.items()
    for i, arguments in enumerate(calls)
    if name != "logme_evidence"  # whose operator has settings in place of a rule
} | {
    "logme_evidence, fixed point": ("logme_evidence", EVIDENCE),
    "logme_evidence, largest": ("logme_evidence", (*EVIDENCE, *FIXED_POINT, True)),
}


def _flat(results):
    return results if isinstance(results, tuple | list) else (results,)


def test_every_op_is_registered():
    assert {name for name, _ in CALLS.values()} == set(torch_ops.__all__)
    public = {name for name in tk.ops.__all__ if name[0].islower()} - {"bound_ops"}
    assert public == set(torch_ops.__all__)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_opcheck(call):
    name, arguments = CALLS[call]
    operator = getattr(torch.ops.transfer_kernels, name).default
    outcome = torch.library.opcheck(operator, arguments)
    assert set(outcome.values()) == {"SUCCESS"}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_compiles_into_one_graph(call):
    name, call_arguments = CALLS[call]
    operator = getattr(torch_ops, name)

    def doubled(*arguments):
        return [2 * result for result in _flat(operator(*arguments))]

    torch._dynamo.reset()
    compiled = torch.compile(doubled, fullgraph=True, backend="aot_eager")
    results = _flat(operator(*call_arguments))
    for found, result in zip(compiled(*call_arguments), results, strict=True):
        assert torch.equal(found, 2 * result)


def test_values_are_those_of_the_ops():
    features, codes = torch.from_numpy(X), torch.from_numpy(y)
    scatter = tk.ops.fisher_scatter(X, y, N_CLASSES)
    for found, value in zip(
        torch_ops.fisher_scatter(features, codes, N_CLASSES),
        (scatter.counts, scatter.sums, scatter.gram),
        strict=True,
    ):
        np.testing.assert_array_equal(found.numpy(), value)
    assert float(torch_ops.parc_correlation(features, codes)) == tk.ops.parc_correlation(X, y)


def test_the_largest_evidence_is_that_of_the_metric():
    gram, moments, squares, n, d = EVIDENCE
    found = torch_ops.logme_evidence(gram, moments, squares, n, d, largest=True)[0]
    assert float(found.mean()) == pytest.approx(tk.logme(X, y), rel=1e-12)
    features = torch.from_numpy(X[:5])  # n < d
    Y = torch.eye(2, dtype=torch.float64)[[0, 1, 0, 1, 0]]
    gram = features.double() @ features.T.double()
    found = torch_ops.logme_evidence(gram, Y, Y.sum(0), 5, 6, dual=True, largest=True)[0]
    assert float(found.mean()) == pytest.approx(tk.logme(X[:5], [0, 1, 0, 1, 0]), rel=1e-9)
    with pytest.raises(ValueError, match="largest=True has no settings"):
        torch_ops.logme_evidence(gram, Y, Y.sum(0), 5, 6, dual=True, epsilon=0.0, largest=True)


def test_moments_around_an_origin():
    features, targets = torch.from_numpy(X), torch.from_numpy(np.eye(N_CLASSES)[y])
    origin = features[0].double()
    found = torch_ops.target_moments(features, targets, origin)
    np.testing.assert_allclose(found, (features.double() - origin).T @ targets, rtol=1e-12)


def test_arguments_are_not_changed():
    for name, arguments in CALLS.values():
        tensors = [one for one in arguments if isinstance(one, torch.Tensor)]
        before = [one.clone() for one in tensors]
        getattr(torch_ops, name)(*arguments)
        for one, copy in zip(tensors, before, strict=True):
            torch.testing.assert_close(one, copy, rtol=0.0, atol=0.0, equal_nan=True)


def test_share_and_anchors_go_together():
    with pytest.raises(ValueError, match="share and anchors go together"):
        torch_ops.self_challenging(*CALLS["self_challenging, 1"][1][:5])
