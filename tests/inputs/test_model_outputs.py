"""Named inputs: what the records refuse, and how each input is checked when it is read."""

import re
import warnings

import numpy as np
import pytest
from conftest import example_inputs, make_problem
from scipy import sparse

import transfer_kernels as tk
from transfer_kernels.inputs.model_outputs import (
    INPUTS,
    MODEL_INPUTS,
    TARGET_INPUTS,
    MissingInput,
    TargetInputs,
)

X, y = make_problem(60, 8, 4)
OUTPUTS, OF_TARGET = example_inputs(X, y)
THETA = OUTPUTS.posteriors


def changed(array, place, value):
    array = np.array(array)
    array[place] = value
    return array


def read(name, labels=y, ignore_label=None, **given):
    """An input as a metric reads it."""
    of_target = {key: given.pop(key) for key in list(given) if key in TARGET_INPUTS}
    outputs = tk.ModelOutputs(**{"features": X, **given})
    problem = tk.Problem(outputs, labels, None, ignore_label, **of_target)
    return getattr(problem.inputs, name)


def test_every_input_has_an_example_and_a_check():
    assert OUTPUTS.given.keys() == MODEL_INPUTS.keys()
    assert OF_TARGET.keys() == TARGET_INPUTS.keys()
    for name, named in INPUTS.items():
        assert named.name == name and named.summary
        assert named.owner == ("model" if name in MODEL_INPUTS else "target")
        assert name in (tk.ModelOutputs if named.owner == "model" else TargetInputs).__doc__ + str(
            tk.rank.__doc__
        )


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_come_as_they_were_given(name):
    found = read(name, **OUTPUTS.given, **OF_TARGET)
    expected = {**OUTPUTS.given, **OF_TARGET}[name]
    pairs = zip(found, expected, strict=True) if name == "source" else [(found, expected)]
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", INPUTS)
def test_samples_that_are_left_out_are_left_out_of_all(name):
    labels = np.where(np.arange(60) % 5 == 2, -1, y)
    kept = labels != -1
    given = {**OUTPUTS.given, **OF_TARGET}
    found = read(name, labels, -1, **given)
    if name == "source":
        np.testing.assert_array_equal(found[0], given[name][0])
    elif name == "general":  # other samples
        np.testing.assert_array_equal(found, given[name])
    elif name == "label_embeddings":
        np.testing.assert_array_equal(found, given[name])
        each = np.asarray(given[name])[y]
        np.testing.assert_array_equal(read(name, labels, -1, label_embeddings=each), each[kept])
    else:
        np.testing.assert_array_equal(found, given[name][kept])


REFUSED = {
    "negative": ("posteriors", changed(THETA, (7, 2), -0.1), r"-0\.1 at row 7, column 2"),
    "nan": ("posteriors", changed(THETA, (7, 2), np.nan), "nan at row 7, column 2"),
    "sum": ("posteriors", changed(THETA, 3, 0.5), r"row 3 sums to 2\.5 and not to 1; pass the"),
    "sparse, negative": (
        "posteriors",
        sparse.csc_matrix(changed(THETA, (7, 2), -0.1)),
        r"-0\.1 at row 7, column 2",
    ),
    "sparse, sum": ("posteriors", sparse.csr_array(changed(THETA, 3, 0.0)), "row 3 sums to 0 and"),
    "logits": ("posteriors", np.full((60, 3), 4.0), "posteriors are no probabilities: row 0 sums"),
    "1-D": ("posteriors", THETA[:, 0], "posteriors must be two-dimensional"),
    "source, no pair": ("source", X, "source must be a pair .features, labels. of samples of"),
    "source, lengths": ("source", (X, y[:-1]), "source labels has 59"),
    "source, nan": ("source", (changed(X, (4, 1), np.nan), y), "source features.*row 4, column 1"),
    "source, missing": ("source", (X, [None, *y[1:]]), "source labels contains None.*; drop these"),
    "general, inf": ("general", changed(X, (9, 0), np.inf), "general of shape.*inf.*row 9, column"),
    "embeddings, axes": (
        "label_embeddings",
        np.ones((4, 3)),
        r"of shape \(C, D, K\), not",
    ),
    "embeddings, rows": ("label_embeddings", np.ones((5, 3, 2)), "each of the 4 classes.*60 sampl"),
    "embeddings, nan": ("label_embeddings", np.full((4, 3, 2), np.nan), "contain NaN or infinity"),
    "reference, rows": ("reference", X[:-1], "60 samples, but reference has 59"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_are_refused_when_they_are_read(case):
    name, value, message = REFUSED[case]
    with pytest.raises((ValueError, TypeError), match=message):
        read(name, **{name: value})
    # Who does not read them is not bothered.
    outputs = tk.ModelOutputs(X, **({name: value} if name in MODEL_INPUTS else {}))
    of_target = {} if name in MODEL_INPUTS else {name: value}
    assert tk.score(outputs, y, "lfc", **of_target) == tk.score(X, y, "lfc")


def test_rows_that_disagree():
    message = "all inputs need a row for each sample, but the rows are 60 of features, 59 of post"
    with pytest.raises(ValueError, match=message):
        tk.ModelOutputs(X, posteriors=THETA[1:])
    with pytest.raises(ValueError, match="features or posteriors is needed"):
        tk.ModelOutputs(source=(X, y))
    with pytest.raises(ValueError, match="same length: 60 samples, but labels has 59"):
        tk.Problem(tk.ModelOutputs(posteriors=THETA), y[1:])


def test_the_record_is_frozen_and_says_what_it_holds():
    with pytest.raises(AttributeError):
        OUTPUTS.features = X
    text = "features=(60, 8) float32, posteriors=(60, 5) float64, source=((60, 8) float32, (60,) "
    assert repr(OUTPUTS).startswith(f"ModelOutputs({text}")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rounded_probabilities_are_accepted(dtype):
    theta = np.random.default_rng(0).dirichlet(np.ones(200), 60).astype(dtype)
    assert read("posteriors", posteriors=theta) is theta


def test_sparse_posteriors_stay_sparse_and_are_not_written_to():
    given = sparse.coo_matrix((np.ones(61), (np.r_[0, :60], np.r_[0, :60] % 7)))
    given.data[:2] = 0.5  # one entry in two pieces
    before = given.data.copy()
    found = read("posteriors", posteriors=given)
    assert found.format == "csr" and found.nnz == 60 and found.dtype == np.float64
    np.testing.assert_array_equal(found.toarray(), given.toarray())
    np.testing.assert_array_equal(given.data, before)
    twice = sparse.csr_matrix((given.data, given.col.astype(np.int32), np.r_[0, 2:62]))
    assert read("posteriors", posteriors=twice).nnz == 60 and twice.nnz == 61
    labels = np.where(np.arange(60) == 3, -1, y)
    assert read("posteriors", labels, -1, posteriors=given).shape == (59, 7)


def test_an_input_that_is_not_there():
    with pytest.raises(MissingInput, match=re.escape("posteriors needed, but not given; pass Mod")):
        read("posteriors")
    with pytest.raises(MissingInput, match="reference needed, but not given; pass reference="):
        read("reference")
    with pytest.raises(MissingInput, match="features needed"):
        _ = tk.Problem(tk.ModelOutputs(posteriors=THETA), y).features
    with pytest.raises(AttributeError, match="'logits' is no input; there are features, post"):
        read("logits")
    with pytest.raises(TypeError, match="'logits' is no argument; inputs of the target are label_"):
        tk.score(X, y, logits=THETA)


def test_tensors_of_the_host_are_taken_as_arrays():
    torch = pytest.importorskip("torch")
    found = read("posteriors", posteriors=torch.tensor(THETA, requires_grad=True))
    assert isinstance(found, np.ndarray)
    found = read("general", general=torch.from_numpy(X).to(torch.bfloat16))
    assert found.dtype == np.float32


def test_inputs_lie_on_the_device_of_the_first():
    torch = pytest.importorskip("torch")
    from transfer_kernels.inputs.model_outputs import CheckedInputs, Extent

    read_only = X.copy()
    read_only.flags.writeable = False
    given = {"general": read_only, "source": (X, y), "reference": torch.from_numpy(X)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inputs = CheckedInputs(given, Extent(60, lambda: 4), torch.zeros(0, device="cpu"))
        assert isinstance(inputs.general, torch.Tensor) and isinstance(
            inputs.reference, torch.Tensor
        )
        assert isinstance(inputs.source[0], torch.Tensor)
        assert isinstance(inputs.source[1], np.ndarray)
