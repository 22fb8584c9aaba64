"""The commands `recommend` and `evaluate`: what they print and write, their exit codes."""

import csv
import json

import numpy as np
import pytest

from transfer_kernels.cli.main import main
from transfer_kernels.evaluation.yardstick import leave_one_task_out
from transfer_kernels.recommend import Completion, Fennec, TransferHistory, by_fennec


@pytest.fixture(autouse=True)
def reference_backend(monkeypatch):
    monkeypatch.setenv("TRANSFER_KERNELS_BACKEND", "reference")


@pytest.fixture
def folder(tmp_path):
    """Five models on six tasks with proxies and features, and a new task."""
    rng = np.random.default_rng(0)
    mix, skill = rng.random(6), rng.random((5, 2))
    performance = skill @ np.array([mix, 1 - mix])
    models, tasks = [f"m{i}" for i in range(5)], [f"t{i}" for i in range(6)]
    history = TransferHistory(models, tasks, performance)
    history.to_csv(tmp_path / "table.csv")
    (tmp_path / "proxies").mkdir()
    direction = rng.normal(size=4)
    for task, x in zip(tasks, mix, strict=True):
        np.save(tmp_path / "proxies" / task, rng.normal(size=(20, 4)) * 0.1 + direction * x)
        (tmp_path / "features" / task).mkdir(parents=True)
        for m, model in enumerate(models):
            y = np.arange(30) % 3
            features = rng.normal(size=(30, 6)) + y[:, None] * performance[m, tasks.index(task)]
            np.save(tmp_path / "features" / task / model, features)
        np.save(tmp_path / "features" / task / "labels", y)
    np.save(tmp_path / "new.npy", rng.normal(size=(20, 4)) * 0.1 + direction * 0.9)
    return tmp_path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def fitted(folder, metric=None):
    history = TransferHistory.read_csv(
        folder / "table.csv", proxies=folder / "proxies", features=folder / "features"
    )
    return Fennec(metric=metric, meta_weight=0.0).fit(history)


# ---------------------------------------------------------------------------- recommend


def test_recommend_prints_and_writes_the_best(folder, capsys):
    expected = fitted(folder).recommend(np.load(folder / "new.npy"), 3)
    arguments = (folder / "table.csv", "--proxies", folder / "proxies")
    task = ("--task", folder / "new.npy", "-k", 3)
    assert run("recommend", *arguments, *task, "--out", folder / "o.csv") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[2:]] == list(expected)
    with (folder / "o.csv").open(newline="") as file:
        written = {row["model"]: float(row["score"]) for row in csv.DictReader(file)}
    assert written == expected
    assert run("recommend", *arguments, *task, "--out", folder / "o.json") == 0
    assert json.loads((folder / "o.json").read_text()) == expected


def test_recommend_by_scores_of_features(folder, capsys):
    arguments = (folder / "table.csv", "--proxies", folder / "proxies")
    arguments += ("--task", folder / "new.npy", "--features", folder / "features")
    for metric, options in ((None, ()), ("sfda", ("--metric", "sfda"))):
        assert run("recommend", *arguments, *options) == 0
        lines = capsys.readouterr().out.splitlines()
        expected = fitted(folder, metric).recommend(np.load(folder / "new.npy"))
        assert [line.split()[1] for line in lines[2:]] == list(expected)


def test_recommend_from_what_was_saved(folder, capsys):
    pytest.importorskip("safetensors")
    arguments = (folder / "table.csv", "--proxies", folder / "proxies", "--save", folder / "kept")
    assert run("recommend", *arguments) == 0
    assert capsys.readouterr().out == ""
    assert run("recommend", folder / "kept", "--task", folder / "new.npy") == 0
    from_saved = capsys.readouterr().out
    assert run("recommend", *arguments[:-2], "--task", folder / "new.npy") == 0
    assert capsys.readouterr().out == from_saved


def test_the_meta_phase_joins_where_the_table_tells_sizes(folder, capsys):
    history = TransferHistory.read_csv(folder / "table.csv")
    sizes = {m: {"parameters": 1e6 * (i + 1)} for i, m in enumerate(history.models)}
    facts = {t: {"images": 100.0 + i, "classes": 3.0 + i} for i, t in enumerate(history.tasks)}
    TransferHistory(
        history.models, history.tasks, history.performance, model_facts=sizes, task_facts=facts
    ).to_csv(folder / "table.csv", folder / "tasks.csv")
    arguments = (folder / "table.csv", "--proxies", folder / "proxies")
    arguments += ("--task", folder / "new.npy", "--task-table", folder / "tasks.csv")
    assert run("recommend", *arguments) == 2
    assert "images and classes of the new task are missing" in capsys.readouterr().err
    assert run("recommend", *arguments, "--images", 500, "--classes", 7) == 0
    merged = capsys.readouterr().out
    assert run("recommend", *arguments, "--meta-weight", 0) == 0
    assert capsys.readouterr().out != merged


# ---------------------------------------------------------------------------- evaluate


def test_evaluate_prints_the_controls(folder, capsys):
    assert run("evaluate", folder / "table.csv") == 0
    out = capsys.readouterr().out
    comparison = leave_one_task_out(TransferHistory.read_csv(folder / "table.csv"))
    lines, expected = out.splitlines(), str(comparison).splitlines()
    assert lines[0] == "table.csv: 5 models, 6 tasks; each task held out in turn"
    assert lines[1].split() == expected[0].split() and len(lines) == len(expected) + 1
    for name in comparison.recommenders:
        row = next(line for line in lines if line.startswith(name))
        assert f"{comparison.mean(name):.3f}" in row


def test_evaluate_with_fennec_and_metrics(folder, capsys):
    pytest.importorskip("matplotlib")
    sources = ("--proxies", folder / "proxies", "--features", folder / "features")
    outputs = ("--out", folder / "o.json", "--plot", folder / "p.svg")
    assert run("evaluate", folder / "table.csv", *sources, "--metric", "logme") == 2
    assert "takes no negative values; use scaling='unit'" in capsys.readouterr().err
    options = (*sources, "--metric", "logme", "--scaling", "unit", "-k", 2, *outputs)
    assert run("evaluate", folder / "table.csv", *options) == 0
    out = capsys.readouterr().out
    for name in ("Fennec (table)", "Fennec (logme)", "logme ", "mean rank (control)", "recall@2"):
        assert name in out
    assert "recall@1" not in out
    history = TransferHistory.read_csv(folder / "table.csv", proxies=folder / "proxies")
    recommender = by_fennec(metric=None, meta_weight=0.0, scaling="unit")
    expected = leave_one_task_out(history, {"f": recommender}).mean("f")
    written = json.loads((folder / "o.json").read_text())
    assert written["Fennec (table)"]["mean"]["weighted_kendall"] == expected
    assert (folder / "p.svg").read_text().startswith("<?xml")


def test_evaluate_says_which_tasks_tell_nothing(folder, capsys):
    text = (folder / "table.csv").read_text().splitlines()
    rows = [text[0] + ",flat", *(line + ",0.5" for line in text[1:])]
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    assert run("evaluate", folder / "table.csv") == 0
    assert "left out, since they tell no two models apart: flat" in capsys.readouterr().out


def write_scores(folder):
    rng = np.random.default_rng(3)
    history = TransferHistory.read_csv(folder / "table.csv")
    rows = ["model,task,logme,other"]
    for task in history.tasks:
        for model, value in history.column(task).items():
            rows.append(f"{model},{task},{value + 0.1 * rng.random()},{rng.random()}")
    (folder / "scores.csv").write_text("\n".join(rows) + "\n")


def test_evaluate_offers_every_recommender(folder, capsys):
    write_scores(folder)
    assert run("evaluate", folder / "table.csv", "--scores", folder / "scores.csv") == 0
    out = capsys.readouterr().out
    for name in ("logme", "mean rank + logme (control)", "Completion on other, 3 run", "stacked"):
        assert f"\n{name} " in out
    assert run("evaluate", folder / "table.csv", "--recommender", "completion") == 0
    assert "\nCompletion, none run " in capsys.readouterr().out
    assert run("evaluate", folder / "table.csv", "--recommender", "fennec") == 2
    assert "--recommender fennec needs --proxies" in capsys.readouterr().err


def test_evaluate_by_groups_and_against_a_row(folder, capsys):
    groups = "task,group\n" + "".join(f"t{i},{'ab'[i % 2]}\n" for i in range(6))
    (folder / "groups.csv").write_text(groups)
    arguments = (folder / "table.csv", "--groups", folder / "groups.csv")
    assert run("evaluate", *arguments, "--against", "random (control)") == 0
    out = capsys.readouterr().out
    assert "above random (control)" in out
    kinds = {f"t{i}": "ab"[i % 2] for i in range(6)}
    comparison = leave_one_task_out(TransferHistory.read_csv(folder / "table.csv"), groups=kinds)
    assert f"{comparison.mean('mean rank (control)'):.3f}" in out
    assert run("evaluate", *arguments, "--against", "nobody") == 2
    assert "recommender 'nobody' is not compared here" in capsys.readouterr().err


def test_recommend_without_proxies(folder, capsys):
    assert run("recommend", folder / "table.csv", "--told", "m0=0.9", "--told", "m1=0.2") == 0
    out = capsys.readouterr().out
    search = Completion().fit(TransferHistory.read_csv(folder / "table.csv")).start()
    search.tell("m0", 0.9).tell("m1", 0.2)
    lines = out.splitlines()
    assert [line.split()[1] for line in lines[2:-1]] == list(search.recommend())
    assert lines[-1] == f"run next: {search.next_model()}"
    assert run("recommend", folder / "table.csv", "--recommender", "mean-rank", "-k", 2) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_recommend_by_completion_on_scores(folder, capsys):
    write_scores(folder)
    arguments = ("recommend", folder / "table.csv", "--scores", folder / "scores.csv")
    told = ("--told", "m0=logme=0.9", "--told", "m1=other=0.4", "--told", "m2=performance=0.5")
    assert run(*arguments, *told, "--out", folder / "o.json", "-k", 3) == 0
    assert len(json.loads((folder / "o.json").read_text())) == 3
    capsys.readouterr()
    assert run(*arguments, "--told", "m0=0.9") == 2
    assert "a number could be any of" in capsys.readouterr().err
    assert run(*arguments, "--told", "m0=logme=x") == 2
    assert "it is MODEL=NUMBER" in capsys.readouterr().err


def test_recommend_from_a_saved_completion(folder, capsys):
    pytest.importorskip("safetensors")
    assert run("recommend", folder / "table.csv", "--save", folder / "kept") == 0
    assert run("recommend", folder / "kept", "--told", "m3=0.8") == 0
    from_saved = capsys.readouterr().out
    assert run("recommend", folder / "table.csv", "--told", "m3=0.8") == 0
    assert capsys.readouterr().out == from_saved


# ---------------------------------------------------------------------------- wrong use


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("recommend", "table.csv", "--proxies", "proxies"),
            "give the new task's proxy features with --task, or --save",
        ),
        (("recommend", "table.csv", "--told", "m0"), "it is MODEL=NUMBER"),
        (("recommend", "table.csv", "--told", "x=1"), "model 'x' is unknown"),
        (("recommend", "table.csv", "--task", "new.npy"), "past tasks with --proxies"),
        (("evaluate", "missing.csv"), "missing.csv: no such file"),
        (("evaluate", "table.csv", "--metric", "sfda"), "--metric needs --features"),
        (("evaluate", "table.csv", "--out", "o.txt"), "must end in .csv or .json"),
        (("evaluate", "table.csv", "--out", "nowhere/o.csv"), "does not exist or cannot be"),
        (("evaluate", "table.csv", "--plot", "o.bmp"), "must end in .png"),
        (("evaluate", "table.csv", "-k", "0"), "k=0 is out of range"),
        (("evaluate", "table.csv", "--proxies", "new"), "is not a folder"),
        (("recommend", "proxies", "--task", "new.npy"), "fennec.json: no such file"),
    ],
)
def test_wrong_use_exits_with_2_and_the_remedy(folder, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and "Traceback" not in err
