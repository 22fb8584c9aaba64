"""The transfer history: tables in and out, gaps, facts, sources of features, input errors."""

import numpy as np
import pytest

from transfer_kernels.recommend import Task, TransferHistory

NAN = float("nan")
WIDE = "model,cars,parameters,pets\nresnet,91.5,25.6e6,88\nvit,,86e6,93.25\n"


@pytest.fixture
def history():
    return TransferHistory(
        ["a", "b", "c"],
        ["cars", "pets"],
        [[1.0, 2.0], [3.0, NAN], [0.1, 0.2]],
        features=lambda model, task: (np.full((4, 2), ord(model)), [len(task)] * 4),
        proxies={"cars": np.zeros((5, 3)), "pets": (np.ones((6, 3)), np.arange(6))},
        model_facts={"a": {"parameters": 10}, "c": {"parameters": 30, "layers": 3}},
        task_facts={"pets": {"images": 100, "classes": 37}},
    )


def test_it_holds_what_it_was_given(history):
    assert history.models == ("a", "b", "c") and history.tasks == ("cars", "pets")
    assert history.known.tolist() == [[True, True], [True, False], [True, True]]
    assert history.column("pets") == {"a": 2.0, "c": 0.2}
    assert history.row("b") == {"cars": 3.0}
    assert history.fact("parameters") == {"a": 10.0, "c": 30.0}
    assert history.task_fact("classes") == {"pets": 37.0}
    assert repr(history) == "TransferHistory(3 models, 2 tasks, 5 of 6 transfers known)"
    with pytest.raises(ValueError, match="read-only"):
        history.performance[0, 0] = 7.0


def test_the_callers_array_is_neither_kept_nor_changed():
    given = np.arange(6.0).reshape(2, 3)
    history = TransferHistory(["a", "b"], ["x", "y", "z"], given)
    given[0, 0] = 99.0
    assert history.performance[0, 0] == 0.0
    given[0, 0] = 0.0
    assert given.flags.writeable


def test_a_task_tells_everything_but_the_performance(history):
    task = history.task("pets")
    assert isinstance(task, Task) and task.name == "pets"
    assert task.facts == {"images": 100.0, "classes": 37.0}
    found = task.features("b")
    assert found.features[0, 0] == ord("b") and found.labels == [4] * 4
    assert task.proxy().labels.tolist() == list(range(6))
    assert history.proxy("cars").labels is None
    assert not any("performance" in name for name in dir(task))


def test_parts(history):
    part = history.subset(models=["c", "a"], tasks=["pets"])
    assert part.models == ("c", "a")
    assert part.performance.tolist() == [[0.2], [2.0]]
    assert part.task("pets").facts["classes"] == 37.0
    assert part.fact("parameters") == {"c": 30.0, "a": 10.0}
    rest = history.without_task("cars")
    assert rest.tasks == ("pets",) and rest.has_proxies and rest.has_features
    np.testing.assert_array_equal(rest.features("a", "pets").features, np.full((4, 2), ord("a")))
    with pytest.raises(ValueError, match="task 'cars' is not in this history; it has 'pets'"):
        rest.task("cars")


def test_records():
    records = [("a", "x", 1.0), ("b", "y", 2.0), ("a", "y", 3.0)]
    history = TransferHistory.from_records(records)
    np.testing.assert_array_equal(history.performance, [[1.0, 3.0], [NAN, 2.0]])
    with pytest.raises(ValueError, match="model 'a' on task 'x' occurs twice"):
        TransferHistory.from_records([*records, ("a", "x", 1.5)])


# ---------------------------------------------------------------------------- tables


def test_wide_table_there_and_back(tmp_path, history):
    history.to_csv(tmp_path / "table.csv", tmp_path / "tasks.csv")
    read = TransferHistory.read_csv(tmp_path / "table.csv", task_table=tmp_path / "tasks.csv")
    assert read.models == history.models and read.tasks == history.tasks
    np.testing.assert_array_equal(read.performance, history.performance)
    assert read.model_facts == history.model_facts
    assert read.task_facts == history.task_facts


def test_wide_table(tmp_path):
    (tmp_path / "t.csv").write_text(WIDE)
    history = TransferHistory.read_csv(tmp_path / "t.csv")
    assert history.tasks == ("cars", "pets")
    np.testing.assert_array_equal(history.performance, [[91.5, 88.0], [NAN, 93.25]])
    assert history.fact("parameters") == {"resnet": 25.6e6, "vit": 86e6}
    assert TransferHistory.read_csv(tmp_path / "t.csv", tasks=["pets"]).tasks == ("pets",)
    other = TransferHistory.read_csv(tmp_path / "t.csv", facts=["cars"])
    assert other.tasks == ("parameters", "pets") and other.fact("cars") == {"resnet": 91.5}


def test_long_table(tmp_path):
    (tmp_path / "t.csv").write_text("task,model,performance\nx,a,1\nx,b,2\ny,b,\n")
    history = TransferHistory.read_csv(tmp_path / "t.csv")
    np.testing.assert_array_equal(history.performance, [[1.0, NAN], [2.0, NAN]])
    assert TransferHistory.read_csv(tmp_path / "t.csv", tasks=["x"]).column("x") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,x\na,1\n", "has no column 'model'"),
        ("model,x\n", "has no lines"),
        ("model,x\na,good\n", "'good' in the row of 'a' is no number"),
        ("model,x\na,1\na,2\n", "models: 'a' occurs twice"),
        ("model,x,x\na,1,2\n", "a column occurs twice"),
        ("model,x,y\na,1\n", "line 2 has not 3 cells"),
        ("model,parameters\na,1\n", "tasks: none given"),
        ("model,x\na,inf\n", "performance contains inf first at row 0, column 0"),
        ("model,task,performance\na,x,1\na,x,2\n", "model 'a' on task 'x' occurs twice"),
    ],
)
def test_damaged_tables(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        TransferHistory.read_csv(tmp_path / "t.csv")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="t.csv: no such file"):
        TransferHistory.read_csv(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(WIDE)
    with pytest.raises(FileNotFoundError, match="tasks.csv: no such file"):
        TransferHistory.read_csv(tmp_path / "t.csv", task_table=tmp_path / "tasks.csv")
    with pytest.raises(ValueError, match="has no column 'boats'"):
        TransferHistory.read_csv(tmp_path / "t.csv", tasks=["boats"])


# ---------------------------------------------------------------------------- folders


def test_folders_of_features(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "features" / "pets").mkdir(parents=True)
    (tmp_path / "proxies").mkdir()
    features, proxy = rng.normal(size=(30, 4)), rng.normal(size=(20, 7))
    np.save(tmp_path / "features" / "pets" / "a.npy", features)
    np.save(tmp_path / "features" / "pets" / "labels.npy", np.arange(30) % 3)
    np.savez(tmp_path / "proxies" / "pets.npz", features=proxy, labels=np.arange(20) % 3)
    history = TransferHistory(
        ["a", "b"], ["pets"], features=tmp_path / "features", proxies=str(tmp_path / "proxies")
    )
    found = history.features("a", "pets")
    np.testing.assert_array_equal(found.features, features)
    np.testing.assert_array_equal(found.labels, np.arange(30) % 3)
    np.testing.assert_array_equal(history.proxy("pets").features, proxy)
    assert history.proxy("pets").labels.shape == (20,)
    with pytest.raises(ValueError, match="pets: holds no features of model 'b'"):
        history.features("b", "pets")
    missing = TransferHistory(["a"], ["cars"], proxies=tmp_path / "proxies")
    with pytest.raises(ValueError, match="proxies: holds no proxy features of task 'cars'"):
        missing.proxy("cars")


def test_no_sources():
    history = TransferHistory(["a"], ["x"], [[1.0]])
    assert not history.has_features and not history.has_proxies
    with pytest.raises(ValueError, match="task 'x' has no features of any model"):
        history.features("a", "x")
    with pytest.raises(ValueError, match="task 'x' has no proxy features"):
        history.proxy("x")
    unlabelled = TransferHistory(["a"], ["x"], features=lambda model, task: np.zeros((3, 2)))
    with pytest.raises(ValueError, match="model 'a' of task 'x' come without labels"):
        unlabelled.scored("sfda")


# ---------------------------------------------------------------------------- input errors


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((["a", "a"], ["x"]), {}, ValueError, "models: 'a' occurs twice"),
        (([], ["x"]), {}, ValueError, "models: none given"),
        (("ab", ["x"]), {}, TypeError, "models: a sequence of names is needed"),
        ((["a"], [3]), {}, TypeError, "tasks: names are texts; 3 is not"),
        ((["a"], ["x"], [[1.0, 2.0]]), {}, ValueError, r"shape \(1, 2\) does not fit 1 models"),
        ((["a"], ["x"], [["good"]]), {}, TypeError, "performance must be real numbers"),
        ((["a"], ["x"], [[np.inf]]), {}, ValueError, "contains inf first at row 0, column 0"),
        ((["a"], ["x"]), {"model_facts": {"b": {}}}, ValueError, "model_facts: 'b' is not in"),
        ((["a"], ["x"]), {"task_facts": {"x": {"images": NAN}}}, ValueError, "images of 'x' is"),
    ],
)
def test_refusals(arguments, options, error, message):
    with pytest.raises(error, match=message):
        TransferHistory(*arguments, **options)
