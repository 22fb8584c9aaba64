"""Files that hold more of a model than features: every named input by its keys."""

import numpy as np
import pytest
from conftest import example_inputs, make_problem

import transfer_kernels as tk
from transfer_kernels.files.array_files import widened
from transfer_kernels.files.feature_files import read_features, read_outputs, read_target_input
from transfer_kernels.inputs.model_outputs import MODEL_INPUTS, TARGET_INPUTS

X, y = make_problem(60, 8, 4)
OUTPUTS, OF_TARGET = example_inputs(X, y)


def arrays_of(outputs):
    """The arrays of a file that holds these inputs."""
    held = {}
    for name, value in outputs.given.items():
        parts = value if isinstance(value, tuple) else (value,)
        held |= dict(zip(MODEL_INPUTS[name].arrays, parts, strict=True))
    return held


def save(path, **arrays):
    arrays = {name: np.asarray(values) for name, values in arrays.items()}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy").save_file(arrays, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save({name: torch.from_numpy(values) for name, values in arrays.items()}, path)
    return path


SUFFIXES = [".npz", ".safetensors", ".pt"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_input_is_read_by_its_keys(tmp_path, suffix):
    path = save(tmp_path / f"m{suffix}", **arrays_of(OUTPUTS), labels=y)
    outputs, labels = read_outputs(path)
    np.testing.assert_array_equal(labels, y)
    assert list(outputs.given) == list(OUTPUTS.given)
    for name, value in OUTPUTS.given.items():
        pairs = (
            zip(outputs.given[name], value, strict=True)
            if name == "source"
            else [(outputs.given[name], value)]
        )
        for found, expected in pairs:
            np.testing.assert_array_equal(np.asarray(found), expected)
    assert set(read_outputs(path, needs={"posteriors"}).outputs.given) == {"posteriors"}
    # A source alone does not tell the number of samples.
    assert set(read_outputs(path, needs={"source"}).outputs.given) == {"source", "features"}
    np.testing.assert_array_equal(np.asarray(read_features(path).features), X)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_features_need_no_name_beside_other_inputs(tmp_path, suffix):
    path = save(tmp_path / f"m{suffix}", embeddings=X, posteriors=OUTPUTS.posteriors)
    np.testing.assert_array_equal(np.asarray(read_outputs(path).outputs.features), X)
    path = save(tmp_path / f"p{suffix}", posteriors=OUTPUTS.posteriors)
    assert read_outputs(path).outputs.features is None
    with pytest.raises(ValueError, match="holds 'posteriors' and no features"):
        read_features(path)
    path = save(tmp_path / f"t{suffix}", a=X, b=X, posteriors=OUTPUTS.posteriors)
    with pytest.raises(ValueError, match="name the features 'features', or store nothing else but"):
        read_outputs(path)


def test_files_that_contradict_themselves(tmp_path):
    path = save(tmp_path / "m.npz", features=X, source_features=X)
    with pytest.raises(ValueError, match="m.npz: holds source_features without source_labels"):
        read_outputs(path)
    path = save(tmp_path / "m.npz", features=X, posteriors=OUTPUTS.posteriors[1:])
    with pytest.raises(ValueError, match="m.npz: all inputs need a row for each.*59 of posteriors"):
        read_outputs(path)
    path = save(tmp_path / "m.npz", source_features=X, source_labels=y)
    with pytest.raises(ValueError, match="m.npz: .* is needed, which has a row for each sample"):
        read_outputs(path)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".npy"])
@pytest.mark.parametrize("name", TARGET_INPUTS)
def test_inputs_of_the_target_lie_in_files_too(tmp_path, suffix, name):
    value = OF_TARGET[name]
    if suffix == ".npy":
        np.save(tmp_path / "t.npy", value)
    else:
        save(tmp_path / f"t{suffix}", **{name: value, "other": X})
    found = read_target_input(tmp_path / f"t{suffix}", name)
    np.testing.assert_array_equal(np.asarray(found), value)


def confidence(problem):
    return float(problem.inputs.posteriors.max(axis=1).mean())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_zoo_of_files_with_and_without_posteriors(tmp_path, suffix):
    save(tmp_path / f"both{suffix}", **arrays_of(OUTPUTS), labels=y)
    save(tmp_path / f"plain{suffix}", features=X, labels=y)
    save(tmp_path / f"theta{suffix}", posteriors=OUTPUTS.posteriors, labels=y)
    zoo = {name: tmp_path / f"{name}{suffix}" for name in ("both", "plain", "theta")}
    metrics = [tk.Metric("confidence", confidence, needs={"posteriors"}), "lfc"]
    message = "confidence: no score of plain without post.*lfc: no score of theta without features"
    journal = tmp_path / "journal"
    for _ in range(2):
        with pytest.warns(tk.MissingInputWarning, match=message):
            ranking = tk.rank(zoo, metrics=metrics, journal=journal)
        assert not ranking.errors
        expected = float(OUTPUTS.posteriors.max(axis=1).mean())
        found = ranking.column("confidence")
        assert found["both"] == found["theta"] == expected and np.isnan(found["plain"])
        assert ranking.column("lfc")["both"] == ranking.column("lfc")["plain"] == tk.lfc(X, y)
    assert len(journal.read_text().splitlines()) == 4


def test_a_history_of_files_scores_metrics_of_posteriors(tmp_path):
    from transfer_kernels.recommend import TransferHistory

    (tmp_path / "t").mkdir()
    save(tmp_path / "t" / "a.npz", **arrays_of(OUTPUTS), labels=y)
    np.savez(tmp_path / "t" / "b.npz", features=2 * X, labels=y)
    history = TransferHistory(["a", "b"], ["t"], features=tmp_path)
    np.testing.assert_array_equal(history.scored("lfc").performance[:, 0], [tk.lfc(X, y)] * 2)
    with pytest.warns(tk.MissingInputWarning, match="confidence: no score without posteriors"):
        metric = tk.Metric("confidence", confidence, needs={"posteriors"})
        scored = history.scored(metric).performance[:, 0]
    assert scored[0] == float(OUTPUTS.posteriors.max(axis=1).mean()) and np.isnan(scored[1])


def test_bfloat16_stays_narrow_where_it_may(tmp_path):
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    tensor = torch.from_numpy(X).to(torch.bfloat16)
    save_file({"features": tensor, "general": tensor.clone()}, tmp_path / "m.safetensors")
    wide = read_outputs(tmp_path / "m.safetensors").outputs
    assert wide.features.dtype == wide.general.dtype == np.float32
    narrow = read_outputs(tmp_path / "m.safetensors", narrow=True).outputs
    np.testing.assert_array_equal(np.asarray(narrow.general), widened(narrow.general.halves))
    problem = tk.Problem(narrow, y)
    np.testing.assert_array_equal(problem.inputs.general, wide.general)
