"""Tables and texts as others write them: titles, separators, encodings, units, absurdities."""

import json
from pathlib import Path

import numpy as np
import pytest

from transfer_kernels.files.target_files import read_labels, read_layers, read_truth
from transfer_kernels.recommend import TransferHistory

PUBLISHED = Path(__file__).parents[1] / "published_transfers"

#: One table, as different programs write it.
TABLES = {
    "plain": b"model,accuracy,parameters\na,84.5,100\nb,90,\n",
    "upper case": b"Model, ACCURACY ,Parameters\na,84.5,100\nb,90,\n",
    "percent": b"model,accuracy,parameters\na,84.5%,100\nb,90 %,\n",
    "semicolons": b"model;accuracy;parameters\na;84.5;100\nb;90;\n",
    "decimal commas": b"Model;Accuracy;Parameters\na;84,5;100\nb;90,0;\n",
    "decimal commas, percent": b"model;accuracy;parameters\na;84,5 %;100\nb;90,0 %;\n",
    "tabs": b"model\taccuracy\tparameters\na\t84.5\t100\nb\t90\t\n",
    "index": b",model,accuracy,parameters\n0,a,84.5,100\n1,b,90,\n",
    "index named by pandas": b"Unnamed: 0,model,accuracy,parameters\n0,a,84.5,100\n1,b,90,\n",
    "models as index": b",accuracy,parameters\na,84.5,100\nb,90,\n",
    "byte order mark": b"\xef\xbb\xbfmodel,accuracy,parameters\na,84.5,100\nb,90,\n",
    "UTF-16": "model\taccuracy\tparameters\na\t84.5\t100\nb\t90\t\n".encode("utf-16"),
    "CRLF": b"model,accuracy,parameters\r\na,84.5,100\r\nb,90,\r\n",
    "CR": b"model,accuracy,parameters\ra,84.5,100\rb,90,\r",
    "quoted": b'"model","accuracy","parameters"\n"a","84.5","100"\n"b","90",""\n',
    "spaces": b"model , accuracy , parameters\n a , 84.5 , 100\nb, 90 , \n",
    "separators at the end": b"model,accuracy,parameters,\na,84.5,100,\nb,90,,\n",
    "empty lines": b"\nmodel,accuracy,parameters\n\na,84.5,100\n,,\nb,90,\n\n",
    "Excel's hint": b"sep=;\r\nmodel;accuracy;parameters\r\na;84,5;100\r\nb;90;\r\n",
    "dashes for gaps": b"model,accuracy,parameters\na,84.5,100\nb,90,-\n",
    "another order": b"parameters,accuracy,model\n100,84.5,a\n,90,b\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_truth(tmp_path, kind):
    (tmp_path / "t.csv").write_bytes(TABLES[kind])
    truth = read_truth(tmp_path / "t.csv")
    assert truth.accuracy == {"a": 84.5, "b": 90.0}
    assert truth.parameters == {"a": 100.0}


@pytest.mark.parametrize("kind", TABLES)
def test_transfer_tables(tmp_path, kind):
    (tmp_path / "t.csv").write_bytes(TABLES[kind])
    history = TransferHistory.read_csv(tmp_path / "t.csv")
    assert history.models == ("a", "b") and history.performance.tolist() == [[84.5], [90.0]]
    assert history.tasks[0].lower() == "accuracy"
    assert history.fact("parameters") == {"a": 100.0}


def test_pandas_own_tables(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"cars": [1.5, np.nan], "Pets": [3.0, 4.0]}, index=["a", "b"])
    frame.to_csv(tmp_path / "t.csv")
    history = TransferHistory.read_csv(tmp_path / "t.csv")
    assert history.models == ("a", "b") and history.tasks == ("cars", "Pets")
    np.testing.assert_array_equal(history.performance, frame.to_numpy())
    frame.rename_axis("Model").reset_index().to_csv(tmp_path / "t.csv")
    again = TransferHistory.read_csv(tmp_path / "t.csv")
    assert again.models == history.models and again.tasks == history.tasks
    frame.reset_index(drop=True).to_csv(tmp_path / "t.csv")  # nobody named the models
    with pytest.raises(ValueError, match="no column 'model'.* reads '', 'cars', 'Pets'"):
        TransferHistory.read_csv(tmp_path / "t.csv")
    pandas.Series(["x", "y", "x"]).to_csv(tmp_path / "labels.csv")
    assert read_labels(tmp_path / "labels.csv").tolist() == ["x", "y", "x"]
    pandas.Series(["x", "y", "x"], name="Label").to_csv(tmp_path / "labels.csv")
    assert read_labels(tmp_path / "labels.csv").tolist() == ["x", "y", "x"]


def test_long_tables(tmp_path):
    text = "Dataset;Model;Accuracy\ncars;a;84,5 %\npets;b;90 %\n"
    (tmp_path / "t.csv").write_text(text)
    history = TransferHistory.read_csv(tmp_path / "t.csv")
    assert history.column("cars") == {"a": 84.5} and history.column("pets") == {"b": 90.0}
    (tmp_path / "facts.csv").write_text("Dataset;Images\ncars;1000\npets;20,5\n")
    history = TransferHistory.read_csv(tmp_path / "t.csv", task_table=tmp_path / "facts.csv")
    assert history.task_fact("Images") == {"cars": 1000.0, "pets": 20.5}


def test_a_task_may_be_called_dataset(tmp_path):
    (tmp_path / "t.csv").write_text("model,task,pets\na,1,2\nb,3,4\n")
    assert TransferHistory.read_csv(tmp_path / "t.csv").tasks == ("task", "pets")


# ---------------------------------------------------------------------------- published tables


def test_parc_as_published():
    for name, n in (("controlled", 196), ("all", 469)):
        history = TransferHistory.read_csv(PUBLISHED / f"transfer_parc_{name}.csv")
        assert int(history.known.sum()) == n
        assert history.column("cifar10")["resnet50/nabird"] == 89.97 or name == "all"


def test_model_spider_as_published():
    path = PUBLISHED / "transfer_modelspider_baselines.csv"
    with pytest.raises(ValueError, match="'H-Score', 'LEEP', .*; choose one with performance="):
        TransferHistory.read_csv(path)
    for column in ("LogME", "logme"):
        history = TransferHistory.read_csv(path, performance=column)
        assert history.known.all() and history.known.shape == (10, 8)
        assert history.column("Aircraft")["googlenet"] == 0.9338
    with pytest.raises(ValueError, match="no column 'SFDA'"):
        TransferHistory.read_csv(path, performance="SFDA")
    ten = TransferHistory.read_csv(PUBLISHED / "transfer_modelspider_finetuned10.csv")
    assert ten.known.shape == (10, 10) and ten.column("UTKFace")["googlenet"] == -391.966
    path = PUBLISHED / "transfer_modelspider_finetuned66.csv"
    history = TransferHistory.read_csv(path, facts=["IN_42"])
    assert history.known.shape == (66, 7) and sum(history.fact("IN_42").values()) == 42


def test_a_column_of_a_published_table_as_truth():
    truth = read_truth(PUBLISHED / "transfer_sfda_group1.csv", "Pets")
    assert truth.accuracy["resnet34"] == 93.5 and len(truth.accuracy) == 11
    with pytest.raises(ValueError, match="no column 'accuracy'.* reads 'model', 'aircraft'"):
        read_truth(PUBLISHED / "transfer_sfda_group1.csv")


# ---------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "text",
    [
        "Label\ncat\ndog\n",
        "\ufeffLABELS\r\ncat\r\ndog\r\n",
        "image; Label\n1.png; cat\n2.png; dog\n",
        ",label\n0,cat\n1,dog\n",
        'file,"label"\n"a\nb",cat\n"c",dog\n',
        "label\tid\ncat\t1\ndog\t2\n",
        "sep=;\nid;label\n1;cat\n2;dog\n",
    ],
)
def test_label_tables(tmp_path, text):
    (tmp_path / "labels.csv").write_bytes(text.encode())
    assert read_labels(tmp_path / "labels.csv").tolist() == ["cat", "dog"]


def test_a_label_is_not_cut_at_odd_characters(tmp_path):
    labels = ["a\x1cb", "c\u2028d", "e\x85f"] * 2
    (tmp_path / "labels.txt").write_bytes("\r\n".join(labels).encode())
    assert read_labels(tmp_path / "labels.txt").tolist() == labels
    (tmp_path / "labels.csv").write_bytes("\n".join(["label", *labels]).encode())
    assert read_labels(tmp_path / "labels.csv").tolist() == labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1\nnan\n2\n", [1.0, None, 2.0]),
        ("cat\nnull\ndog\n", ["cat", None, "dog"]),
        ("9007199254740993\nnan\n1\n", [9007199254740993, None, 1]),
    ],
)
def test_missing_labels_can_be_kept(tmp_path, text, expected):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(ValueError, match="1 of 3 are missing"):
        read_labels(tmp_path / "labels.txt")
    labels = read_labels(tmp_path / "labels.txt", keep_missing=True).tolist()
    assert [None if label != label else label for label in labels] == expected
    (tmp_path / "labels.json").write_text("[1, null, 2, NaN]")
    labels = read_labels(tmp_path / "labels.json", keep_missing=True)
    assert labels[0] == 1 and labels[1] is None and labels[3] != labels[3]


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("read", [read_truth, read_layers, read_labels])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a": ' * 200_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "no valid JSON|no finite number|JSON list"),
        ("\x00", "no valid JSON"),
    ],
)
def test_absurd_json(tmp_path, read, text, message):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / "t.json")
    assert "t.json" in str(caught.value)


@pytest.mark.parametrize("read", [read_truth, read_layers, read_labels, TransferHistory.read_csv])
@pytest.mark.parametrize(
    "text",
    [
        "model,accuracy,layers,label\n" + "x" * 200_000 + ",1,2,3\n",
        "model,accuracy,layers,label\n" + '"' + "x\n" * 100_000,
        "x" * 200_000,
        "y" * 200_000 + ",1\n" * 10,
    ],
    ids=["long cell", "open quote", "long line", "long title"],
)
def test_absurd_tables(tmp_path, read, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=r"t\.csv: ") as caught:
        read(tmp_path / "t.csv")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,accuracy\na,84%\nb,0.9\n", "in column 'accuracy' some numbers end in %"),
        ("model,accuracy\na,1_0\n", "accuracy of model 'a' is '1_0'"),
        ("model,accuracy\na,0,5\n", "line 2 has not 2 cells"),
        ("model,accuracy\na,84,5\n", "line 2 has not 2 cells"),
        ("model,accuracy\na,-\n", "model 'a' has no accuracy"),
        ("model,accuracy,accuracy\na,1,2\n", "a column occurs twice in its first line: 'accuracy'"),
        ("model;score\na;1\n", "has no column 'accuracy'.* reads 'model', 'score'"),
        ("model,accuracy\na ,1\n a,2\n", "'a' occurs twice"),
    ],
)
def test_truth_that_is_refused(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_truth(tmp_path / "t.csv")


def test_messages_do_not_repeat_the_data(tmp_path):
    long, steering = "z" * 50_000, "\x1b[2Jm"
    tables = [
        f"model,accuracy\n{long},1\n{long},2\n",
        f"model,accuracy\n{long},{long}\n",
        f"{long},accuracy\na,1\n",
        f"model,{long}\na,1\n",
        f"model,accuracy\n{steering},x\n",
        ",".join(f"c{i}" for i in range(5000)) + "\n",
    ]
    for text in tables:
        for read in (read_truth, read_layers, TransferHistory.read_csv):
            (tmp_path / "t.csv").write_text(text)
            if read == TransferHistory.read_csv and text == tables[3]:
                continue  # a task by that name
            with pytest.raises(ValueError, match=r"t\.csv|models: ") as caught:
                read(tmp_path / "t.csv")
            assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()
    (tmp_path / "t.json").write_text(json.dumps({long: long, steering: 1}))
    with pytest.raises(ValueError, match="no finite number") as caught:
        read_truth(tmp_path / "t.json")
    assert len(str(caught.value)) < 1000 and str(caught.value).isprintable()
