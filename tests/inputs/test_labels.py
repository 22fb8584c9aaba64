"""Labels that are missing, merged, no classes, or in files; tables paired by name; odd features."""

import json

import numpy as np
import pytest
from conftest import make_problem

import transfer_kernels as tk
from transfer_kernels.evaluation import evaluate, kendall
from transfer_kernels.files.target_files import read_labels
from transfer_kernels.inputs.arrays import as_features, as_labels, encode_classes

X, y = make_problem(60, 8, 4)
NAMES = np.array(["ant", "bee", "cat", "dog"])[y]


def with_gap(labels, gap, dtype=object):
    labels = np.array(labels, dtype=dtype)
    labels[[7, 9]] = gap
    return labels


def missing_cases():
    cases = {
        "None": with_gap(NAMES, None),
        "list": with_gap(y, None).tolist(),
        "NaN object": with_gap(NAMES, float("nan")),
        "NaN": with_gap(y, np.nan, float),
        "NaT": with_gap(y.astype("M8[D]"), np.datetime64("NaT"), "M8[D]"),
        "NumPy's text": np.array([*NAMES[:7], np.nan, NAMES[8], np.nan, *NAMES[10:]]),
    }
    try:
        import pandas
    except ImportError:
        return cases
    cases["pandas.NA"] = pandas.Series(with_gap(y, pandas.NA), dtype="Int64")
    cases["Categorical"] = pandas.Categorical(with_gap(NAMES, None))
    cases["string"] = pandas.Series(with_gap(NAMES, None), dtype="string")
    return cases


MISSING = missing_cases()


@pytest.mark.parametrize("case", MISSING)
def test_missing_labels(case, backend):
    for metric in (tk.sfda, tk.logme, tk.parc):
        with pytest.raises(ValueError, match=r"first at index 7, and 2 of 60 are missing"):
            metric(X, MISSING[case], backend=backend)
    kept = np.delete(np.arange(60), [7, 9])
    for metric in (tk.sfda, tk.logme, tk.parc):
        value = metric(X, MISSING[case], ignore_label=float("nan"), backend=backend)
        assert value == pytest.approx(metric(X[kept], y[kept], backend=backend), rel=1e-12)


@pytest.mark.parametrize("ignored", [-1, -100, "void"])
def test_ignore_label(ignored, backend):
    labels = np.array(NAMES, dtype=object) if ignored == "void" else y.copy()
    labels[::5] = ignored
    kept = labels != ignored
    for metric in (tk.sfda, tk.logme, tk.parc):
        value = metric(X, labels, ignore_label=ignored, backend=backend)
        assert value == pytest.approx(metric(X[kept], labels[kept], backend=backend), rel=1e-12)
    assert tk.SFDA(ignore_label=ignored).fit(X, labels).score_ == tk.sfda(X[kept], labels[kept])
    ranking = tk.rank({"a": X}, labels, "logme", ignore_label=ignored)
    assert ranking[0].scores["logme"] == tk.logme(X[kept], labels[kept])
    with pytest.raises(ValueError, match="all 60 are the ignore_label"):
        tk.sfda(X, np.full(60, -1), ignore_label=-1)


@pytest.mark.parametrize(
    "labels",
    [[1, "1", 1, "1"], [2**53, 2**53 + 1, 0.5, 2**53, 2**53 + 1, 0.5], [2**63, 2**63 + 1, -1] * 2],
)
def test_different_labels_are_not_merged(labels):
    classes, codes = encode_classes(as_labels(labels, len(labels)))
    assert len(classes) == len({(type(label), label) for label in labels})
    assert [classes[code] for code in codes] == labels


def test_labels_that_hardly_repeat(backend):
    real = X[:, 0].astype(float) * 3
    capped = np.minimum(np.random.default_rng(0).normal(size=3000).round(3), 1.0)
    for labels in (real, capped):
        features = np.resize(X, (len(labels), 8))
        for metric in (tk.sfda, tk.logme, tk.parc):
            with pytest.raises(ValueError, match="regression=True"):
                metric(features, labels, backend=backend)
    assert np.isfinite(tk.logme(X, real + X[:, 1] ** 2, regression=True, backend=backend))
    for labels in (np.arange(60), [f"{i}.png" for i in range(60)]):
        for metric in (tk.sfda, tk.logme, tk.parc):
            with pytest.raises(ValueError, match="no class has two samples"):
                metric(X, labels, backend=backend)
    # Ratings in halves are classes.
    assert tk.logme(X, y / 2, backend=backend) == tk.logme(X, y, backend=backend)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.txt", "cat\nnan\ncat\nnan\n", r"label 1 .*'nan', and 2 of 4 are missing"),
        ("labels.csv", "image,label\na,1\nb,\nc,1\n", r"label 1 .*an empty cell, and 1 of 3"),
        ("labels.json", json.dumps([1, None, 1]), r"label 1 .*None, and 1 of 3"),
        ("labels.json", "[1, NaN, 1]", r"label 1 .*nan, and 1 of 3"),
        ("labels.txt", "a.png cat\nb.png dog\nc.png cat", r"2 columns, the first 'a.png', 'cat'"),
        ("labels.txt", "0;cat\n1;dog\n2;cat", r"2 columns, the first '0', 'cat'"),
        ("labels.txt", "0\tbig cat\n1\tdog\n2\tcat", r"2 columns, the first '0', 'big cat'"),
        ("labels.csv", "0;cat\n1;dog\n2;cat", r"2 columns, the first '0', 'cat'"),
    ],
)
def test_label_files_that_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("labels.txt", "1_0\n10\n", ["1_0", "10"]),
        ("labels.txt", "9007199254740993\n9007199254740992\n0.5", None),
        ("labels.txt", "99999999999999999998\n99999999999999999999", None),
        ("labels.txt", "big cat\ndog\nbig cat", ["big cat", "dog", "big cat"]),
        ("labels.txt", "big cat\nold dog\n" * 2, ["big cat", "old dog"] * 2),
        ("labels.csv", "id;label\n0;cat\n1;dog\n", ["cat", "dog"]),
    ],
)
def test_label_files_are_read_as_they_are(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name).tolist() == (expected or text.split())


def test_tables_are_paired_by_name():
    pandas = pytest.importorskip("pandas")
    scores = pandas.Series([1.0, 2.0, 3.0], index=["a", "b", "c"])
    truth = pandas.Series([30.0, 20.0, 10.0], index=["c", "b", "a"])
    for left in (scores, scores.to_dict(), scores.to_frame("score")):
        for right in (truth, truth.to_dict(), truth.to_frame("accuracy")):
            assert kendall(left, right) == 1.0
    ranking = tk.rank({"m": X, "n": X[:, :2], "o": X[::-1]}, y, "logme")
    truth = pandas.Series(ranking.column("logme")).sort_values()
    assert evaluate(ranking.to_pandas()["logme"], truth).kendall == 1.0
    assert kendall(pandas.Series([1.0, 2.0]), [3.0, 4.0]) == 1.0
    with pytest.raises(TypeError, match="both as mappings"):
        kendall(scores, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="'a' occurs twice"):
        kendall(pandas.Series([1.0, 2.0], index=["a", "a"]), {"a": 1.0, "b": 2.0})
    with pytest.raises(ValueError, match="2 columns given.*choose one"):
        kendall(scores.to_frame("s").assign(t=1.0), truth)


def test_a_file_keeps_its_own_labels(tmp_path):
    np.savez(tmp_path / "m.npz", features=X, labels=y)
    zoo = {"m": tmp_path / "m.npz"}
    ranking = tk.rank(zoo, NAMES, "logme")  # the same classes by other names
    assert ranking[0].scores["logme"] == tk.logme(X, y)
    error = tk.rank(zoo, np.roll(y, 1), "logme")[0].error
    assert "m.npz contradict those given" in error and "at sample" in error
    assert "shape (59,)" in tk.rank(zoo, y[1:], "logme")[0].error


def test_tables_as_features():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.astype(float))
    nullable = frame.astype("Float64")
    mixed = frame.assign(flag=y > 1)
    column = pandas.DataFrame({"embedding": list(X)})
    np.testing.assert_array_equal(as_features(nullable), X)
    np.testing.assert_array_equal(as_features(mixed)[:, 8], y > 1)
    np.testing.assert_array_equal(as_features(column), X)
    np.testing.assert_array_equal(as_features(column["embedding"]), X)
    nullable.iloc[3, 2] = pandas.NA
    with pytest.raises(ValueError, match="row 3, column 2"):
        tk.sfda(nullable, y)


def test_lists_of_tensors_and_batches():
    torch = pytest.importorskip("torch")
    rows = list(torch.from_numpy(X.copy()).requires_grad_())
    np.testing.assert_array_equal(as_features(rows), X)
    half = torch.from_numpy(X.copy()).bfloat16()
    np.testing.assert_array_equal(as_features(list(half)), half.float().numpy())
    labels = list(torch.from_numpy(y))
    assert tk.logme(X, labels) == tk.logme(X, y)
    for batches, remedy in (([half[:30], half[30:]], "torch.cat"), ([X[:9], X[9:]], "concatenate")):
        with pytest.raises(ValueError, match=rf"{remedy}\(features\)"):
            as_features(batches)
