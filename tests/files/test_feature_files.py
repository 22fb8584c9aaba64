"""Files: every format gives the same numbers, stays on disk, and can run no code."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import close_to_reading

from transfer_kernels.files.feature_files import find_features, read_features
from transfer_kernels.files.target_files import find_companion, read_labels, read_layers, read_truth

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
        "import resource, sys; from transfer_kernels.files.feature_files import read_features;"
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


def npy(header, data=b"", version=(1, 0)):
    """The bytes of an .npy file with this header, whatever it says."""
    text = header if isinstance(header, bytes) else (str(header) + "\n").encode("latin1")
    width = 2 if version == (1, 0) else 4
    length = len(text).to_bytes(width, "little")
    return b"\x93NUMPY" + bytes(version) + length + text + data


def described(shape, descr="<f4", order=False):
    return {"descr": descr, "fortran_order": order, "shape": shape}


ABSURD_NPY = {
    "negative": npy(described((-1, 5)), bytes(400)),
    "negative twice": npy(described((-10, -10)), bytes(400)),
    "larger than the file": npy(described((10**9, 10**3)), bytes(400)),
    "overflowing": npy(described((2**62, 4)), bytes(400)),
    "beyond 64 bits": npy(described((2**70, 1)), bytes(400)),
    "nothing, but much of it": npy(described((0, 2**62, 2**62))),
    "many axes": npy(described((1,) * 100), bytes(4)),
    "no shape": npy(described("ab"), bytes(400)),
    "bytes of no size": npy(described((10**12,), "|S0")),
    "objects": npy(described((2,), "|O"), b"cposix\nsystem\n"),
    "objects in fields": npy(described((2,), [("a", "|O")]), bytes(400)),
    "deep header": npy(b"(" * 9000, bytes(400)),
    "deep operators": npy(b"{'descr': " + b"-" * 9000 + b"1}", bytes(400)),
    "long header": npy(described((1,)), version=(2, 0))[:8] + (2**32 - 1).to_bytes(4, "little"),
    "unicode header": npy(described((1,)), bytes(4), version=(3, 0)),
    "unknown version": npy(described((1,)), bytes(4), version=(9, 9)),
    "no header": b"\x93NUMPY",
    "text": b"hello" * 100,
}


@pytest.mark.parametrize("kind", ABSURD_NPY)
@pytest.mark.parametrize("packed", [False, True])
def test_absurd_npy_headers_are_refused_at_once(tmp_path, kind, packed):
    path = tmp_path / ("model.npz" if packed else "model.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("features.npy", ABSURD_NPY[kind])
    else:
        path.write_bytes(ABSURD_NPY[kind])
    for read in (read_features, read_labels):
        with pytest.raises(ValueError, match=path.name) as caught:
            read(path)
        assert len(str(caught.value)) < 500 and str(caught.value).isprintable()
        if "objects" in kind:
            assert "pickled Python objects" in str(caught.value)


def test_an_archive_that_unpacks_to_more_than_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    np.savez_compressed(path, features=np.zeros((3000, 300), np.float32))
    assert path.stat().st_size < 30_000
    assert read_features(path).features.shape == (3000, 300)
    monkeypatch.setattr("transfer_kernels.files.array_files.available_memory", lambda: 3e6)
    with pytest.raises(
        ValueError, match=r"takes 3.6 MB unpacked, but 3 MB of memory are available"
    ):
        read_features(path)


def test_an_archive_that_lies_about_its_size(tmp_path):
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", npy(described((10**6, 10**6)), bytes(10_000)))
    with pytest.raises(ValueError, match=r"model\.npz: is cut short"):
        read_features(path)


def test_damage_inside_an_archive(tmp_path):
    path = tmp_path / "model.npz"
    for save in (save_npz, save_compressed_npz):
        save(path)
        whole = path.read_bytes()
        for at in range(60, len(whole) - 200, 37):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            try:
                found = read_features(path)
            except ValueError as error:
                assert "model.npz" in str(error)
            else:  # a byte that no reader looks at, as the time of a member
                np.testing.assert_array_equal(found.features, FEATURES)


def test_archives_of_other_kinds(tmp_path):
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features", b"no array")
    with pytest.raises(ValueError, match="'features' is no array"):
        read_features(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("features.npy", npy(described((12, 5)), FEATURES.tobytes()))
    np.testing.assert_array_equal(read_features(path).features, FEATURES)
    raw = bytearray(path.read_bytes())
    for at in (raw.find(b"PK\x03\x04") + 6, raw.find(b"PK\x01\x02") + 8):
        raw[at] |= 1  # says that it is encrypted
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"model\.npz: is damaged or of another format"):
        read_features(path)


def test_npz_keeps_dtype_order_and_shape(tmp_path):
    path = tmp_path / "model.npz"
    for array in (
        np.asfortranarray(FEATURES),
        FEATURES.astype(">f8"),
        FEATURES[:0],
        np.float64(3.0),
        np.array(["cat", "dog"]),
        FEATURES > 0,
    ):
        np.savez(path, features=array)
        found = read_features(path).features
        assert found.dtype == array.dtype and found.shape == array.shape
        np.testing.assert_array_equal(found, array)


def test_expanded_tensors_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    for shape in ((10**9, 64), (12, 5)):
        torch.save({"features": torch.zeros(1).expand(shape)}, tmp_path / "model.pt")
        with pytest.raises(ValueError, match=r"whose elements share their memory.*clone"):
            read_features(tmp_path / "model.pt")
    torch.save(
        {"x": torch.zeros(3, 2), "labels": torch.zeros(1).expand(10**9)}, tmp_path / "model.pt"
    )
    with pytest.raises(ValueError, match=r"shape \(1000000000,\) whose elements share"):
        read_features(tmp_path / "model.pt")
    wide = torch.arange(120.0).reshape(12, 10)
    for tensor in (wide[:, ::2], wide.T, wide[3:, 2:]):  # views into more memory are none
        torch.save(tensor, tmp_path / "model.pt")
        assert torch.equal(read_features(tmp_path / "model.pt").features, tensor)


def test_a_tensor_for_each_image_is_not_listed(tmp_path):
    torch = pytest.importorskip("torch")
    images = {f"image_{i:05d}\x1b[2J.png": torch.zeros(4) for i in range(3000)}
    torch.save(images, tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"'image_00000\\x1b\[2J.png', .* and 2994 more; name"
    ) as caught:
        read_features(tmp_path / "model.pt")
    assert len(str(caught.value)) < 500 and str(caught.value).isprintable()


def test_tensors_that_hold_no_numbers_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    for tensor, message in (
        (torch.zeros(12, 5, device="meta"), "without data"),
        (torch.eye(5).to_sparse(), "of sparse or quantised numbers"),
        (torch.zeros(12, 5).to(torch.float8_e4m3fn), "of torch.float8_e4m3fn"),
    ):
        torch.save(tensor, path)
        for read in (read_features, read_labels):
            with pytest.raises(ValueError, match=rf"model\.pt: holds a tensor {message}"):
                read(path)


def test_compressed_pt_files_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(10**6), tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as source,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    with pytest.raises(ValueError, match="compressed, which torch.save never does"):
        read_features(tmp_path / "b.pt")


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ({"x": {"dtype": "F32", "shape": [0, 10**30], "data_offsets": [0, 0]}}, 0),
        ({"x": {"dtype": "F32", "shape": [1] * 100, "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}, 4),
        ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, 4),
        ({"x": {"dtype": "Z" * 10_000, "shape": [1], "data_offsets": [0, 4]}}, 4),
        ({"y" * 10_000: {"dtype": "F32", "shape": [7], "data_offsets": [0, 4]}}, 4),
        ({f"y{i}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for i in range(999)}, 4),
        ({"x": {"dtype": "F32", "shape": [2**61], "data_offsets": [0, 2**63]}}, 4),
        ({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, 4),
    ],
)
def test_absurd_safetensors_headers(tmp_path, header, data):
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    with pytest.raises(ValueError, match=r"model\.safetensors: ") as caught:
        read_features(path)
    assert len(str(caught.value)) < 700


def test_deep_safetensors_headers(tmp_path):
    path = tmp_path / "model.safetensors"
    for text in (b"[" * 100_000, b'{"x": ' * 100_000, b"9" * 5000, b"\xff" * 10):
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(ValueError, match="header of this .safetensors file is damaged"):
            read_features(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".pt", ".json", ".txt", ".csv"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    os.mkfifo(path)
    for read in (read_features, read_labels, read_truth, read_layers):
        with pytest.raises(ValueError, match="is no regular file but a pipe"):
            read(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".pt"])
def test_a_closed_file_says_so(tmp_path, monkeypatch, suffix):
    if suffix == ".pt":
        pytest.importorskip("torch")
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"something")
    close_to_reading(monkeypatch, path)
    with pytest.raises(PermissionError, match=path.name):
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
