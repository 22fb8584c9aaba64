"""The example zoo: complete, consistent, small, and made by the script beside it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from transfer_kernels.files.feature_files import find_features, read_features

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ZOO = EXAMPLES / "digits_zoo"


def read_truth(zoo):
    with (zoo / "truth.csv").open(newline="") as file:
        return {row["model"]: row for row in csv.DictReader(file)}


def seed_columns(row):
    return [float(value) for column, value in row.items() if column.startswith("accuracy_seed")]


def zoo_files(zoo):
    """Everything that the script writes into a zoo: file name to content."""
    return {path.name: path.read_bytes() for path in zoo.iterdir()}


def make_quick_zoo(out, jobs):
    script = EXAMPLES / "make_digits_zoo.py"
    made = subprocess.run(
        [sys.executable, str(script), "--quick", "--jobs", str(jobs), "--out", str(out)],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        timeout=900,
    )
    assert made.returncode == 0, made.stderr
    return zoo_files(out)


@pytest.fixture(scope="module")
def truth():
    return read_truth(ZOO)


def test_the_zoo_is_varied(truth):
    assert len(truth) >= 16
    assert len({row["architecture"] for row in truth.values()}) >= 4
    assert len({row["source"] for row in truth.values()} - {"none", "shuffled"}) >= 4


def test_every_model_has_features_and_a_truth(truth):
    files = find_features(ZOO)
    assert files.keys() == truth.keys()
    assert {path.suffix for path in files.values()} == {".npy", ".npz", ".safetensors"}


def test_features_belong_to_the_labels():
    labels = np.load(ZOO / "labels.npy")
    assert labels.dtype == np.int64
    assert set(labels) == set(range(10))
    dtypes = set()
    for path in find_features(ZOO).values():
        features = read_features(path).features
        dtypes.add(features.dtype)
        n, d = features.shape
        assert n == len(labels) > d > 1, path.name
        assert np.isfinite(features).all(), path.name
        assert np.asarray(features, np.float64).std(axis=0).max() > 0, path.name
    assert dtypes == {np.dtype(np.float16), np.dtype(np.float32)}


def test_the_labels_are_a_part_of_the_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    in_all = np.bincount(datasets.load_digits().target)
    in_zoo = np.bincount(np.load(ZOO / "labels.npy"))
    assert abs(in_zoo / in_zoo.sum() - in_all / in_all.sum()).max() < 0.002


def test_accuracy_is_the_mean_over_seeds(truth):
    for model, row in truth.items():
        runs = seed_columns(row)
        assert len(runs) >= 3, model
        assert all(0.1 <= accuracy <= 1 for accuracy in runs), model
        assert len(set(runs)) > 1, model
        assert float(row["accuracy"]) == pytest.approx(np.mean(runs), abs=2e-6), model
        assert int(row["parameters"]) > 0 and int(row["layers"]) > 1, model


def test_the_truth_is_spread_far_beyond_its_noise(truth):
    accuracies = np.array([float(row["accuracy"]) for row in truth.values()])
    variances = [np.var(seed_columns(row), ddof=1) for row in truth.values()]
    runs = len(seed_columns(next(iter(truth.values()))))
    standard_error = np.sqrt(np.mean(variances) / runs)
    assert accuracies.std() > 5 * standard_error
    assert accuracies.min() < 0.8 < 0.9 < accuracies.max()


def test_the_readme_names_every_model(truth):
    text = (ZOO / "README.md").read_text()
    for model, row in truth.items():
        assert f"| {model} | {100 * float(row['accuracy']):.1f} |" in text


def test_the_zoo_is_small():
    assert sum(path.stat().st_size for path in ZOO.iterdir()) <= 6_000_000


@pytest.mark.exhaustive
def test_the_script_makes_the_same_zoo_whatever_the_number_of_jobs(tmp_path, truth):
    pytest.importorskip("torch")
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    made = make_quick_zoo(tmp_path / "two", jobs=2)
    assert made == make_quick_zoo(tmp_path / "one", jobs=1)

    assert made.keys() == zoo_files(ZOO).keys()
    assert made["labels.npy"] == (ZOO / "labels.npy").read_bytes()
    sizes = ["parameters", "layers", "architecture", "source"]
    for model, row in read_truth(tmp_path / "two").items():
        assert [row[column] for column in sizes] == [truth[model][column] for column in sizes]
    for path in find_features(tmp_path / "two").values():
        features = read_features(path).features
        committed = read_features(ZOO / path.name).features
        assert features.shape == committed.shape and features.dtype == committed.dtype
        assert np.isfinite(features).all()
    for model in (name for name in truth if name.endswith("-none")):
        # Without pre-training the features do not depend on how much was trained.
        path = find_features(tmp_path / "two")[model]
        np.testing.assert_allclose(
            np.asarray(read_features(path).features, np.float64),
            np.asarray(read_features(ZOO / path.name).features, np.float64),
            rtol=2e-3,
            atol=2e-3,
        )
