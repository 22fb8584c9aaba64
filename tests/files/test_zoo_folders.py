"""Which files of a folder are models, what is said of the others, and the published layout."""

import os
import socket

import numpy as np
import pytest
from conftest import close_to_reading, make_problem

import transfer_kernels as tk
from transfer_kernels.cli.main import main
from transfer_kernels.files.feature_files import read_features
from transfer_kernels.files.zoo_folders import DEEPEST, find_features, scan_folder
from transfer_kernels.recommend import TransferHistory

X, y = make_problem(60, 6, 3, seed=1)


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("TRANSFER_KERNELS_BACKEND", "reference")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_models_below_the_folder_are_named_by_their_path(tmp_path):
    touch(tmp_path, "a.npy", "facebook/dino.npy", "facebook/v2/dino.v2.pth", "google/vit.npz")
    touch(tmp_path, ".git/x.npy", "facebook/.cache/x.npy", "labels.npy", "google/truth.csv")
    assert list(find_features(tmp_path)) == [
        "a",
        "facebook/dino",
        "facebook/v2/dino.v2",
        "google/vit",
    ]


def test_what_is_passed_over_is_named_with_the_reason(tmp_path):
    touch(tmp_path, "a.npy", "b.pkl", "c.ckpt", "notes", "d.csv", "e.mat", "f.h5", "g.bin")
    touch(
        tmp_path, "README.md", "LICENSE", "plot.png", "run.py", "scores.csv.journal", ".hidden.pkl"
    )
    touch(tmp_path, "cars/labels.csv", "cars/resnet.npy")
    touch(tmp_path, "/".join(f"f{i}" for i in range(DEEPEST + 1)) + "/deep.npy")
    (tmp_path / "gone.npy").symlink_to(tmp_path / "absent.npy")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.npy").symlink_to(tmp_path / "self.npy")
    os.mkfifo(tmp_path / "pipe.npy")
    with socket.socket(socket.AF_UNIX) as listening:
        monkey = os.getcwd()
        os.chdir(tmp_path)  # the path of a socket is short
        try:
            listening.bind("sock.npy")
        finally:
            os.chdir(monkey)
        with pytest.warns(UserWarning) as caught:
            assert list(find_features(tmp_path)) == ["a"]
    (note,) = [str(w.message) for w in caught]
    assert "\n" not in note
    for part in (
        "7 files that are not read as features ('b.pkl', 'c.ckpt', 'd.csv' and 4 more)",
        "2 broken links ('gone.npy', 'self.npy')",
        "2 pipes, sockets or devices ('pipe.npy', 'sock.npy')",
        "1 folder with labels of its own ('cars/')",
        "1 folder that leads back ('loop/')",
        f"1 folder below {DEEPEST} others ('f0/f1/f2/f3/f4/')",
    ):
        assert part in note


def test_names_of_files_cannot_steer_the_terminal(tmp_path):
    touch(tmp_path, "a.npy", "b\x1b[31m\n.pkl")
    with pytest.warns(UserWarning) as caught:
        find_features(tmp_path)
    assert r"'b\x1b[31m\n.pkl'" in str(caught[0].message)


def test_nothing_is_said_where_nothing_is_left_out(tmp_path, recwarn):
    touch(tmp_path, "a.npy", "readme.md", "truth.csv", "y.csv", "Labels.NPY")
    assert list(find_features(tmp_path, exclude=[tmp_path / "y.csv"])) == ["a"]
    assert not recwarn.list and scan_folder(tmp_path, [tmp_path / "y.csv"]).note() == ""


def test_an_empty_zoo_tells_what_it_has_instead(tmp_path):
    touch(tmp_path, "a.pkl", "b.ckpt")
    with pytest.raises(
        ValueError, match=r"holds no features .*passed over 2 files .*'a.pkl', 'b.ckpt'"
    ):
        find_features(tmp_path)


def test_a_closed_folder_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.npy", "closed/b.npy")
    close_to_reading(monkeypatch, tmp_path / "closed")
    note = scan_folder(tmp_path).note()
    (tmp_path / "closed").chmod(0o755)
    assert "1 folder that cannot be opened ('closed/')" in note


def test_pth_is_read_as_pt(tmp_path):
    torch = pytest.importorskip("torch")
    for suffix in (".pt", ".pth", ".PTH"):
        torch.save({"features": torch.from_numpy(X), "labels": y.tolist()}, tmp_path / f"m{suffix}")
        found = read_features(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(found.features, X)
        assert found.labels == y.tolist()


# ---------------------------------------------------------------------------- published layout


@pytest.fixture
def published(tmp_path):
    """Two models and two data sets as the scripts of SFDA and ETran write them."""
    for dataset, labels in (("cifar10", y), ("oxford_pets", (y + 1) % 3)):
        for i, model in enumerate(("inception_v3", "resnet50")):
            stem = f"{model}_{dataset}"
            np.save(tmp_path / f"{stem}_feature.npy", X + i * np.eye(3)[labels] @ X[:3])
            np.save(tmp_path / f"{stem}_label.npy", labels)
            np.save(tmp_path / f"{stem}_output.npy", X[:, :3])
    return tmp_path


def test_one_data_set_is_chosen(published):
    for dataset in ("cifar10", "oxford_pets", "Oxford_Pets"):
        zoo = find_features(published, dataset=dataset)
        assert list(zoo) == ["inception_v3", "resnet50"]
        stem = f"resnet50_{dataset.lower()}"
        found = read_features(zoo["resnet50"])
        np.testing.assert_array_equal(found.features, np.load(published / f"{stem}_feature.npy"))
        np.testing.assert_array_equal(found.labels, np.load(published / f"{stem}_label.npy"))
    with pytest.raises(
        ValueError, match="2 data sets, 'cifar10', 'pets'; choose one with dataset="
    ):
        find_features(published)
    with pytest.raises(
        ValueError, match="no features of data set 'cars', but of 'cifar10', 'pets'"
    ):
        find_features(published, dataset="cars")


def test_a_single_data_set_needs_no_choice(published):
    for path in published.glob("*_pets_*"):
        path.unlink()
    assert list(find_features(published)) == ["inception_v3", "resnet50"]
    assert list(find_features(published, dataset="")) == [
        "inception_v3_cifar10",
        "resnet50_cifar10",
    ]


def test_names_without_a_data_set(tmp_path):
    for model in ("inception_v3", "resnet50"):
        touch(tmp_path, f"{model}_features.npy", f"{model}_labels.npy")
    touch(tmp_path, "vit_b_feature.npy")  # its labels are those of the labels file
    assert list(find_features(tmp_path)) == ["inception_v3", "resnet50", "vit_b"]


def test_other_files_of_that_layout_are_passed_over(published):
    np.save(published / "vit.npy", X)
    with pytest.warns(UserWarning, match=r"1 file not named as MODEL_DATASET_feature .*'vit.npy'"):
        find_features(published, dataset="cifar10")


def test_features_without_labels_beside_them_keep_their_name(tmp_path):
    touch(tmp_path, "resnet_feature.npy", "vit.npy")
    assert list(find_features(tmp_path)) == ["resnet_feature", "vit"]
    with pytest.raises(ValueError, match="there is no data set 'cars' to choose"):
        find_features(tmp_path, dataset="cars")


def test_rank_reads_the_published_layout(published, capsys):
    assert main(["rank", str(published), "--metric", "logme"]) == 2
    assert "choose one with dataset= or --dataset" in capsys.readouterr().err
    (published / "truth.csv").write_text("model,cifar10,cars\ninception_v3,80,1\nresnet50,90,2\n")
    assert main(["rank", str(published), "--metric", "logme", "--dataset", "cifar10"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines()[2:4]] == ["resnet50", "inception_v3"]
    assert "Prediction of truth.csv, 2 models" in out and err == ""
    expected = tk.logme(np.load(published / "resnet50_cifar10_feature.npy"), y)
    assert f"{expected:.4f}" in out
    assert (
        main(["rank", str(published), "--dataset", "oxford_pets"]) == 2
    )  # truth has no such column
    assert "no column 'accuracy'" in capsys.readouterr().err


def test_the_journal_sees_labels_beside_the_features_change(published, tmp_path):
    zoo = find_features(published, dataset="cifar10")
    journal = tmp_path / "j.journal"
    first = tk.rank(zoo, metrics="logme", journal=journal).column("logme")
    assert tk.rank(zoo, metrics="logme", journal=journal).column("logme") == first
    np.save(published / "resnet50_cifar10_label.npy", np.roll(y, 1)[:, None])
    second = tk.rank(zoo, metrics="logme", journal=journal).column("logme")
    assert second["inception_v3"] == first["inception_v3"]
    assert second["resnet50"] == tk.logme(read_features(zoo["resnet50"]).features, np.roll(y, 1))


def test_a_history_reads_the_published_layout(published):
    history = TransferHistory(["resnet50"], ["cifar10", "oxford_pets"], features=published)
    found = history.features("resnet50", "oxford_pets")
    np.testing.assert_array_equal(found.labels, (y + 1) % 3)
    with pytest.raises(ValueError, match="no features of model 'vit' of task 'cifar10'"):
        TransferHistory(["vit"], ["cifar10"], features=published).features("vit", "cifar10")
    with pytest.raises(ValueError, match="absent: is not a folder; name one for each task"):
        touch(published / "plain", "m.npy")
        TransferHistory(["m"], ["absent"], features=published / "plain").features("m", "absent")


# ---------------------------------------------------------------------------- command line


@pytest.fixture
def zoo(tmp_path):
    folder = tmp_path / "zoo"
    (folder / "org").mkdir(parents=True)
    np.save(folder / "a.npy", X)
    np.save(folder / "org" / "b.npy", X[:, :3])
    return folder


def test_rank_notes_in_one_line_what_it_passed_over(zoo, capsys):
    np.save(zoo / "labels.npy", y)
    touch(zoo, "c.pkl", "d")
    assert main(["rank", str(zoo), "--metric", "logme", "--out", str(zoo / "scores.csv")]) == 0
    out, err = capsys.readouterr()
    assert "org/b" in out
    unread = "passed over 2 files that are not read as features ('c.pkl', 'd')"
    assert err == f"transfer-kernels: {zoo}: {unread}\n"
    assert main(["rank", str(zoo), "--metric", "logme", "--out", str(zoo / "scores.csv")]) == 0
    assert "scores.csv'" not in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npz"])
def test_labels_in_any_array_format(zoo, capsys, suffix):
    path = zoo / f"labels{suffix}"
    if suffix == ".npz":
        np.savez(path, labels=y)
    elif suffix == ".safetensors":
        pytest.importorskip("safetensors.numpy").save_file({"labels": y}, path)
    else:
        torch = pytest.importorskip("torch")
        torch.save(torch.from_numpy(y), path)
    assert main(["rank", str(zoo), "--metric", "logme"]) == 0
    out, err = capsys.readouterr()
    assert f"{tk.logme(X, y):.4f}" in out and err == ""


def test_labels_that_are_no_file_are_refused(zoo, capsys):
    os.mkfifo(zoo / "labels.npy")  # reading it would wait for ever
    for arguments in ([], ["--labels", str(zoo / "labels.npy")]):
        assert main(["rank", str(zoo), *arguments]) == 2
        assert "labels.npy: is no regular file but a pipe" in capsys.readouterr().err
    (zoo / "labels.npy").unlink()
    (zoo / "labels.npy").symlink_to(zoo / "absent")
    assert main(["rank", str(zoo)]) == 2
    assert "labels.npy: no such file; it is a link that leads nowhere" in capsys.readouterr().err
    assert main(["rank", str(zoo), "--labels", str(zoo)]) == 2
    assert "is a folder; name a file" in capsys.readouterr().err
    (zoo / "labels.npy").unlink()
    np.save(zoo / "labels.npy", y)
    os.mkfifo(zoo / "truth.csv")
    assert main(["rank", str(zoo)]) == 2
    assert "truth.csv: is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "value"),
    [
        (np.where(y == 0, -1, y), "-1"),
        (np.where(y == 0, -1, y) / 2, "-0.5"),
        (np.where(y == 0, "none", y.astype(str)), "none"),
        (np.where(y == 0, "7", "c" + y.astype(str).astype(object)).astype(str), "7"),
        (np.where(y == 0, np.nan, y), "nan"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_ignore_label(zoo, capsys, labels, value, suffix):
    path = zoo / f"labels{suffix}"
    if suffix == ".npy":
        np.save(path, labels)
    else:
        path.write_text("label\n" + "".join(f"{label}\n" for label in labels.tolist()))
    assert main(["rank", str(zoo), "--metric", "logme", "--ignore-label", value]) == 0
    out, err = capsys.readouterr()
    assert f"{tk.logme(X[y > 0], y[y > 0]):.4f}" in out and err == ""


def test_missing_texts_are_left_out(zoo, capsys):
    cells = ["" if label == 0 else f"c{label}" for label in y]
    (zoo / "labels.csv").write_text("image,label\n" + "".join(f"x,{cell}\n" for cell in cells))
    assert main(["rank", str(zoo), "--metric", "logme"]) == 2
    assert "leave them out with --ignore-label nan" in capsys.readouterr().err
    assert main(["rank", str(zoo), "--metric", "logme", "--ignore-label", "nan"]) == 0
    assert f"{tk.logme(X[y > 0], y[y > 0]):.4f}" in capsys.readouterr().out


def test_a_contradiction_names_both_files(tmp_path, capsys):
    np.save(tmp_path / "labels.npy", np.roll(y, 1))
    given = tmp_path / "labels.npy"
    np.savez(tmp_path / "c.npz", features=X, labels=y)
    assert main(["rank", str(tmp_path), "--metric", "logme"]) == 2
    stored = tmp_path / "c.npz"
    assert f"those stored in {stored} contradict those in {given}" in capsys.readouterr().err
    stored.unlink()
    np.save(tmp_path / "d_feature.npy", X)
    np.save(tmp_path / "d_label.npy", y[1:])
    assert main(["rank", str(tmp_path), "--metric", "logme"]) == 2
    stored = tmp_path / "d_label.npy"
    expected = f"those stored in {stored} have shape (59,), but those in {given} have shape (60,)"
    assert expected in capsys.readouterr().err


def test_missing_labels_of_both_sides_are_the_same(tmp_path):
    labels = np.where(y == 0, np.nan, y)
    np.savez(tmp_path / "c.npz", features=X, labels=np.where(y == 0, -1, y))
    np.save(tmp_path / "labels.npy", labels)
    ranking = tk.rank({"c": tmp_path / "c.npz"}, labels, "logme", ignore_label=-1)
    assert ranking[0].scores["logme"] == tk.logme(X[y > 0], y[y > 0])
