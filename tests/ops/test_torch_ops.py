"""The PyTorch operators: torch's own checks, whole-graph compilation, values beside the ops'."""

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk

torch = pytest.importorskip("torch")

from transfer_kernels.ops import torch_ops  # noqa: E402

N_CLASSES = 4
X, y = make_problem(60, 6, N_CLASSES)


def _arguments():
    """Op name -> arguments of one call of each."""
    features, codes = torch.from_numpy(X), torch.from_numpy(y)
    weights = torch.linspace(0.0, 1.0, len(X), dtype=torch.float64)
    counts, sums, gram = torch_ops.fisher_scatter(features, codes, N_CLASSES)
    means = sums / counts[:, None]
    within = torch_ops.within_scatter(gram, -sums, means, len(X))
    coef, offset = torch_ops.fisher_discriminant(within, means, 0.1, 6)
    targets = torch.from_numpy(np.random.default_rng(0).normal(size=(len(X), 3)))
    return {
        "first_nonfinite": (features,),
        "fisher_scatter": (features, codes, N_CLASSES, weights),
        "self_challenging": (features, codes, coef, -offset, weights, means),
        "parc_correlation": (features, codes),
        "parc_correlation_vectors": (features, targets),
        "logme_evidence": (gram, sums.T, counts, len(X), 6),
        "randomized_pca": (features, 2),
        "row_space": (features[:5],),
        "target_moments": (features, targets),
        "quadratic_forms": (gram, sums.T),
        "log_determinant": (gram, 0.1),
        "class_logdets": (features, codes, N_CLASSES, means[0], counts),
        "row_statistics": (features, means[0]),
        "within_scatter": (gram, -sums, means, len(X)),
        "dominant_eigenvalue": (within, torch.ones(6, dtype=torch.float64)),
        "fisher_discriminant": (within, means, 0.1, 6),
    }


ARGUMENTS = _arguments()
#: Further calls: op name, arguments.
FIXED_POINT = (False, 1e-5, 1e-3, 11, False, True, False)  # the default settings
CALLS = {
    **{name: (name, arguments) for name, arguments in ARGUMENTS.items()},
    "logme_evidence, largest": (
        "logme_evidence",
        (*ARGUMENTS["logme_evidence"], *FIXED_POINT, True),
    ),
    "target_moments, origin": (
        "target_moments",
        (*ARGUMENTS["target_moments"], ARGUMENTS["target_moments"][0][0]),
    ),
}


def _flat(results):
    return results if isinstance(results, tuple | list) else (results,)


def test_every_op_is_registered():
    assert sorted(ARGUMENTS) == sorted(torch_ops.__all__)
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
    gram, moments, squares, n, d = ARGUMENTS["logme_evidence"]
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
    features, targets = (ARGUMENTS["target_moments"][i] for i in (0, 1))
    origin = features[0].double()
    found = torch_ops.target_moments(features, targets, origin)
    np.testing.assert_allclose(found, (features.double() - origin).T @ targets, rtol=1e-12)


def test_arguments_are_not_changed():
    arguments = ARGUMENTS["fisher_discriminant"]
    before = arguments[0].clone()
    torch_ops.fisher_discriminant(*arguments)
    assert torch.equal(arguments[0], before)


def test_share_and_anchors_go_together():
    with pytest.raises(ValueError, match="share and anchors go together"):
        torch_ops.self_challenging(*ARGUMENTS["self_challenging"][:5])
