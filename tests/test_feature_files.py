"""Files: every format gives the same numbers, stays on disk, and can run no code."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from transfer_kernels.feature_files import find_features, read_features
from transfer_kernels.target_files import find_companion, read_labels, read_layers, read_truth

FEATURES = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
LABELS = np.arange(12) % 3


def save_safetensors(path, tensors):
    """Write the format by hand: header length, JSON header, bytes; dtype names as in the format."""
    header, data = {}, b""
    for name, (kind, array) in tensors.items():
        raw = array.tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def save_npz(path):
    np.savez(path, features=FEATURES, labels=LABELS)


def save_compressed_npz(path):
    np.savez_compressed(path, features=FEATURES, labels=LABELS)


def save_with_the_safetensors_library(path):
    safetensors_numpy = pytest.importorskip("safetensors.numpy")
    safetensors_numpy.save_file({"features": FEATURES, "labels": LABELS}, path)


def save_pt(path):
    torch = pytest.importorskip("torch")
    torch.save({"features": torch.tensor(FEATURES), "labels": torch.tensor(LABELS)}, path)


# ---------------------------------------------------------------------------- features


@pytest.mark.parametrize(
    ("suffix", "save"),
    [
        (".npz", save_npz),
        (".npz", save_compressed_npz),
        (".safetensors", save_with_the_safetensors_library),
        (".pt", save_pt),
    ],
)
def test_formats_with_labels_inside(tmp_path, suffix, save):
    save(tmp_path / f"model{suffix}")
    features, labels = read_features(tmp_path / f"model{suffix}")
    np.testing.assert_array_equal(np.asarray(features), FEATURES)
    np.testing.assert_array_equal(np.asarray(labels), LABELS)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_dtype_and_order_is_mapped(tmp_path, dtype, order):
    array = np.asarray(FEATURES * 10, dtype=dtype, order=order)
    np.save(tmp_path / "model.npy", array)
    features, labels = read_features(tmp_path / "model.npy")
    assert isinstance(features, np.memmap) and not features.flags.writeable
    assert labels is None
    np.testing.assert_array_equal(features, array)


def test_safetensors_are_mapped_and_bfloat16_widened_without_loss(tmp_path):
    upper = (FEATURES.view(np.uint32) >> 16).astype(np.uint16)
    exact = (upper.astype(np.uint32) << 16).view(np.float32)
    path = tmp_path / "model.safetensors"
    save_safetensors(path, {"x": ("BF16", upper)})
    features, _ = read_features(path)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, exact)
    save_safetensors(path, {"x": ("F32", FEATURES)})
    features, _ = read_features(path)
    assert isinstance(features, np.memmap) and not features.flags.writeable
    np.testing.assert_array_equal(features, FEATURES)


def test_bfloat16_written_by_torch(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors_torch = pytest.importorskip("safetensors.torch")
    tensor = torch.tensor(FEATURES).bfloat16()
    safetensors_torch.save_file({"features": tensor}, tmp_path / "model.safetensors")
    torch.save(tensor, tmp_path / "model.pt")
    from_safetensors = read_features(tmp_path / "model.safetensors").features
    np.testing.assert_array_equal(from_safetensors, tensor.float().numpy())
    assert torch.equal(read_features(tmp_path / "model.pt").features, tensor)


def test_unaligned_safetensors_are_readable(tmp_path):
    path = tmp_path / "model.safetensors"
    save_safetensors(path, {"labels": ("U8", np.zeros(3, np.uint8)), "x": ("F32", FEATURES)})
    features, labels = read_features(path)
    assert features.flags.aligned
    np.testing.assert_array_equal(features, FEATURES)
    assert labels.tolist() == [0, 0, 0]


def test_a_mapped_file_costs_no_memory(tmp_path):
    path = tmp_path / "model.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (400_000, 256)).flush()  # 400 MB, sparse
    code = (
        "import resource, sys; from transfer_kernels.feature_files import read_features;"
        "features = read_features(sys.argv[1]).features;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "features = read_features(sys.argv[1]).features; assert features[5, 7] == 0;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 20_000  # kilobytes


def test_the_only_array_needs_no_name(tmp_path):
    np.savez(tmp_path / "model.npz", whatever=FEATURES)
    np.testing.assert_array_equal(read_features(tmp_path / "model.npz").features, FEATURES)
    np.savez(tmp_path / "model.npz", a=FEATURES, b=FEATURES)
    with pytest.raises(ValueError, match="'a', 'b'; name the features 'features'"):
        read_features(tmp_path / "model.npz")


# ---------------------------------------------------------------------------- no code runs


class Malicious:
    """Unpickling this creates the marker file."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def malicious_npy(path, marker):
    np.save(path, np.array([[Malicious(marker)]], dtype=object), allow_pickle=True)


def raw_pickle(path, marker):
    path.write_bytes(pickle.dumps(Malicious(marker)))


def malicious_npz(path, marker):
    np.savez(path, features=np.array([[Malicious(marker)]], dtype=object))


def npz_with_a_raw_pickle(path, marker):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", pickle.dumps(Malicious(marker)))


def malicious_pt(path, marker):
    torch = pytest.importorskip("torch")
    torch.save({"features": Malicious(marker)}, path)


def malicious_legacy_pt(path, marker):
    torch = pytest.importorskip("torch")
    torch.save(Malicious(marker), path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".npy", malicious_npy),
        (".npy", raw_pickle),
        (".npz", malicious_npz),
        (".npz", npz_with_a_raw_pickle),
        (".npz", raw_pickle),
        (".safetensors", raw_pickle),
        (".pt", malicious_pt),
        (".pt", malicious_legacy_pt),
        (".pt", raw_pickle),
    ],
)
def test_a_malicious_file_is_refused_and_runs_nothing(tmp_path, suffix, write):
    if suffix == ".pt":
        pytest.importorskip("torch")
    marker, path = tmp_path / "marker", tmp_path / f"model{suffix}"
    write(path, marker)
    with pytest.raises(ValueError, match=path.name):
        read_features(path)
    assert not marker.exists()
    if suffix in (".npy", ".npz"):
        with pytest.raises(ValueError, match=path.name):
            read_labels(path)
        assert not marker.exists()


def test_the_malicious_pickle_would_have_run(tmp_path):
    pickle.loads(pickle.dumps(Malicious(tmp_path / "marker")))
    assert (tmp_path / "marker").is_dir()


# ---------------------------------------------------------------------------- damaged files


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".pt"])
@pytest.mark.parametrize("kept", [0, 5, 100, -20])
def test_a_cut_file_is_refused_by_name(tmp_path, suffix, kept):
    path = tmp_path / f"model{suffix}"
    if suffix == ".npy":
        np.save(path, FEATURES)
    elif suffix == ".npz":
        save_npz(path)
    elif suffix == ".safetensors":
        save_safetensors(path, {"features": ("F32", FEATURES)})
    else:
        save_pt(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=path.name):
        read_features(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, "stored as F8_E4M3"),
        ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "damaged"),
        ({"x": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, "damaged"),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, "damaged"),
        ({"x": {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]}}, "damaged"),
        ({"x": {"shape": [1]}}, "damaged"),
        ({"x": 3}, "damaged"),
        ([1, 2], "damaged"),
        ({}, "no array"),
    ],
)
def test_damaged_safetensors_headers(tmp_path, header, message):
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(ValueError, match=message):
        read_features(path)


def test_unknown_formats_and_missing_files(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match=r"\.npy, \.npz, \.safetensors, \.pt and \.pth files"):
        read_features(tmp_path / "model.pkl")
    with pytest.raises(ValueError, match="labels are read from"):
        read_labels(tmp_path / "model.pkl")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_features(tmp_path / "absent.npy")


def test_pt_without_torch_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "model.pt").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"transfer_kernels\[torch\]"):
        read_features(tmp_path / "model.pt")


# ---------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("labels.txt", "cat\ndog\n\ncat\n", ["cat", "dog", "cat"]),
        ("labels.txt", "2\n0\n-1", [2, 0, -1]),
        ("labels.txt", "0.5\n1\n2e3", [0.5, 1.0, 2000.0]),
        ("labels.txt", "007\n7", ["007", "7"]),
        ("labels.txt", "inf\ncat", ["inf", "cat"]),
        ("labels.csv", "label\n3\n4\n", [3, 4]),
        ("labels.csv", "3\n4\n", [3, 4]),
        ("labels.csv", 'image,label\na.png,"x, y"\nb.png,z\n', ["x, y", "z"]),
        ("labels.json", "[1, 2, 1]", [1, 2, 1]),
        ("labels.json", '["a", "b"]', ["a", "b"]),
        ("labels.json", '[1, "1", 2.5]', [1, "1", 2.5]),
        ("labels.json", "[[1, 0], [0, 1]]", [[1, 0], [0, 1]]),
    ],
)
def test_labels_in_text(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    labels = read_labels(tmp_path / name)
    assert labels.tolist() == expected


@pytest.mark.parametrize("labels", [LABELS, np.array(["cat", "dog"]), LABELS / 2])
def test_labels_in_arrays(tmp_path, labels):
    np.save(tmp_path / "labels.npy", labels)
    np.savez(tmp_path / "labels.npz", labels=labels, other=FEATURES)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.npy"), labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "labels.npz"), labels)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.txt", "\n", "holds no labels"),
        ("labels.csv", "a,b\n1,2\n", "2 columns and none is named 'label'"),
        ("labels.csv", "a,label\n1\n", "have no label"),
        ("labels.json", '{"a": 1}', "JSON list"),
        ("labels.json", "[1, [2]]", "throughout"),
        ("labels.json", "[[1], [2, 3]]", "equally many"),
        ("labels.json", "[1,", "no valid JSON"),
    ],
)
def test_labels_that_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / name)


# ---------------------------------------------------------------------------- truth and folders


def test_truth_keeps_what_is_known_of_the_models(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("model,accuracy,accuracy_seed0,parameters,layers\na,0.5,0.4,100,3\nb,0.6,,,4\n")
    truth = read_truth(path)
    assert truth.accuracy == {"a": 0.5, "b": 0.6}
    assert truth.parameters == {"a": 100.0}
    assert truth.layers == read_layers(path) == {"a": 3.0, "b": 4.0}
    (tmp_path / "truth.json").write_text('{"a": 0.5, "b": {"accuracy": 0.6, "layers": 4}}')
    assert read_truth(tmp_path / "truth.json").accuracy == truth.accuracy
    assert read_truth(tmp_path / "truth.json").layers == {"b": 4.0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("truth.csv", "name,accuracy\na,1\n", "no column 'model'"),
        ("truth.csv", "model,score\na,1\n", "no column 'accuracy'"),
        ("truth.csv", "model,accuracy\n", "lists no model"),
        ("truth.csv", "model,accuracy\na,1\na,2\n", "'a' occurs twice"),
        ("truth.csv", "model,accuracy\na,high\n", "accuracy of model 'a' is 'high'"),
        ("truth.csv", "model,accuracy\na,nan\n", "no finite number"),
        ("truth.csv", "model,accuracy\na,\n", "'a' has no accuracy"),
        ("truth.csv", "", "no column 'model'"),
        ("truth.json", "[]", "JSON object"),
        ("truth.txt", "a 1", "read from .csv and .json files"),
    ],
)
def test_truth_that_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_truth(tmp_path / name)


def test_zoo_in_a_folder(tmp_path):
    for name in ("b.npy", "a.npz", "labels.npy", ".hidden.npy", "y.npy", "readme.md", "truth.csv"):
        (tmp_path / name).write_bytes(b"")
    zoo = find_features(tmp_path, exclude=[tmp_path / "y.npy"])
    assert list(zoo) == ["a", "b"]
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.npy and a\.npz hold features of model 'a'"):
        find_features(tmp_path)


def test_folders_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no features"):
        find_features(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        find_features(tmp_path / "absent")
    assert find_companion(tmp_path, "labels") is None
    for name in ("labels.npy", "labels.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"labels\.npy and labels\.txt; name the one .* --labels"):
        find_companion(tmp_path, "labels")
