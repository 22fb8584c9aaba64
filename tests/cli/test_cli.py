"""The command line: what it prints and writes, its exit codes, interrupting and resuming."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import in_subprocess, make_problem

from transfer_kernels.cli.main import main
from transfer_kernels.evaluation import weighted_kendall
from transfer_kernels.metrics import score


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("TRANSFER_KERNELS_BACKEND", "reference")
    return cache


@pytest.fixture
def folder(tmp_path):
    """Five models in three formats, with labels and true accuracies."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    rows = []
    for i in range(5):
        features, labels = make_problem(60, 6, 3, seed=1, spread=0.3 * i)
        if i == 1:
            np.savez(folder / f"model{i}.npz", features=features)
        else:
            np.save(folder / f"model{i}.npy", features)
        rows.append(f"model{i},{0.5 + 0.1 * (i % 4)},{100 * (5 - i)},{10 + i}")
    np.save(folder / "labels.npy", labels)
    text = "model,accuracy,parameters,layers\n" + "\n".join(rows) + "\n"
    (folder / "truth.csv").write_text(text)
    return folder


def run(*arguments):
    return main([str(argument) for argument in arguments])


METRICS = ("--metric", "logme", "--metric", "sfda")


# ---------------------------------------------------------------------------- rank


def test_rank_prints_the_table_and_the_comparison_with_the_truth(folder, capsys):
    assert run("rank", folder) == 0
    out, err = capsys.readouterr()
    ranking, comparison = out.split("\n\n")
    lines = ranking.splitlines()
    assert [line.split()[1] for line in lines[2:]] == [f"model{i}" for i in (4, 3, 2, 1, 0)]
    assert all(metric in lines[0] for metric in ("sfda", "logme", "parc"))
    labels = np.load(folder / "labels.npy")
    expected = score(np.load(folder / "model4.npy"), labels, "sfda")["sfda"]
    assert f"{expected:.4f}" in lines[2]
    assert comparison.startswith("Prediction of truth.csv, 5 models")
    rows = {line.split("  ")[0]: line.split() for line in comparison.splitlines()[3:]}
    assert list(rows) == ["sfda", "logme", "parc", "consensus", "parameter count (control)"]
    accuracies = [0.5, 0.6, 0.7, 0.8, 0.5]
    assert rows["sfda"][2] == f"{weighted_kendall(range(5), accuracies):.3f}"
    assert (
        rows["parameter count (control)"][4]
        == f"{weighted_kendall(range(5, 0, -1), accuracies):.3f}"
    )
    assert err == ""


def test_outputs(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for name in ("scores.csv", "scores.json"):
        assert run("rank", folder, *METRICS, "--out", tmp_path / name) == 0
    assert run("rank", folder, *METRICS, "--plot", tmp_path / "plot.png") == 0
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [row["model"] for row in rows] == [row["model"] for row in content["models"]]
    assert [float(row["logme"]) for row in rows] == [
        r["scores"]["logme"] for r in content["models"]
    ]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_of_many_metrics(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    ranks, agreement = tmp_path / "ranks.svg", tmp_path / "agreement.png"
    pictures = ("--plot-ranks", ranks, "--plot-agreement", agreement)
    assert run("rank", folder, *METRICS, *pictures) == 0
    assert ranks.read_bytes().startswith(b"<?xml")
    assert agreement.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    for option in ("--plot-ranks", "--plot-agreement"):
        assert run("rank", folder, *METRICS, option, tmp_path / "plot.gif") == 2
        out, err = capsys.readouterr()
        assert out == "" and f"{option} " in err and "must end in .png, .pdf, .svg" in err
    assert run("rank", folder, "--metric", "logme", "--plot-agreement", agreement) == 2
    out, err = capsys.readouterr()
    assert "model4" in out and "fewer than two metrics" in err


def test_a_failed_model_gives_exit_code_1_and_its_row(folder, capsys):
    (folder / "broken.npy").write_bytes(b"nothing")
    assert run("rank", folder, *METRICS) == 1
    out, err = capsys.readouterr()
    (row,) = [line for line in out.splitlines() if " broken " in line]
    assert "ValueError: " in row and "Traceback" not in out + err
    assert out.count("model") >= 5
    assert "truth.csv lacks broken; left out of the comparison" in err


def test_layers_and_order(folder, capsys):
    assert run("rank", folder, *METRICS, "--layers", folder / "truth.csv") == 0
    assert "logme + layers" in capsys.readouterr().out
    assert run("rank", folder, *METRICS, "--order-by", "consensus") == 0
    assert capsys.readouterr().out.splitlines()[0].split()[2] == "logme"


def test_labels_given_and_labels_inside_the_files(folder, tmp_path, capsys):
    labels = np.load(folder / "labels.npy")
    (folder / "labels.npy").unlink()
    named = folder / "y.txt"
    named.write_text("\n".join(["cat", "dog", "eel"][label] for label in labels))
    assert run("rank", folder, *METRICS, "--labels", named) == 0
    by_name = capsys.readouterr().out
    for path in folder.glob("model*.np*"):
        loaded = np.load(path)
        features = loaded["features"] if path.suffix == ".npz" else loaded
        path.unlink()
        np.savez(path.with_suffix(".npz"), features=features, labels=labels)
    assert run("rank", folder, *METRICS) == 0
    inside = capsys.readouterr().out
    scores = [[line.split()[2::3] for line in out.splitlines()[2:7]] for out in (by_name, inside)]
    assert [row[0] for row in scores[0]] == [row[0] for row in scores[1]]


def test_workers_give_the_same_table(folder, tmp_path):
    for name, jobs in (("one.csv", 1), ("two.csv", 2)):
        assert run("rank", folder, *METRICS, "--jobs", jobs, "--out", tmp_path / name) == 0
    one, two = (
        {r["model"]: (float(r["logme"]), float(r["sfda"])) for r in csv.DictReader(path.open())}
        for path in (tmp_path / "one.csv", tmp_path / "two.csv")
    )
    assert list(one) == list(two)
    assert all(two[model] == pytest.approx(scores, rel=1e-12) for model, scores in one.items())


# ---------------------------------------------------------------------------- wrong input


def remove_labels(folder):
    (folder / "labels.npy").unlink()


def shorten_labels(folder):
    np.save(folder / "labels.npy", np.load(folder / "labels.npy")[:-1])


def break_truth(folder):
    (folder / "truth.csv").write_text("name,score\n")


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (None, ["--metric", "entropy"], "'entropy' is unknown; there are"),
        (None, ["--metric", "parc(components=3)"], "no option 'components'"),
        (None, ["--backend", "abacus"], "abacus"),
        (None, ["--jobs", "0"], "at least 1"),
        (None, ["--labels", "absent.npy"], "absent.npy: no such file"),
        (None, ["--truth", "absent.csv"], "absent.csv: no such file"),
        (None, ["--out", "scores.xlsx"], "must end in .csv or .json"),
        (None, ["--plot", "plot.gif"], "must end in .png, .pdf, .svg"),
        (None, ["--out", "absent/scores.csv"], "folder absent does not exist"),
        (None, ["--order-by", "beauty"], "'beauty' given; it is one of"),
        (remove_labels, [], "labels: none were given"),
        (shorten_labels, [], "same length"),
        (break_truth, [], "no column 'model'"),
    ],
)
def test_wrong_input_gives_one_line_and_exit_code_2(folder, capsys, spoil, arguments, message):
    if spoil:
        spoil(folder)
    assert run("rank", folder, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("transfer-kernels: error: ") and message in err
    assert err.count("\n") == 1


def test_a_mistake_beside_fresh_loses_no_finished_score(folder, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    assert run("rank", folder, *METRICS, "--out", out) == 0
    assert run("rank", folder, "--metric", "entropy", "--out", out, "--fresh") == 2
    capsys.readouterr()
    assert run("rank", folder, *METRICS, "--out", out) == 0
    assert "10 of 10 scores are from" in capsys.readouterr().err


def test_the_table_is_printed_though_the_picture_fails(folder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (folder / "truth.csv").write_text("model,accuracy\nmodel0,0.5\n")
    assert run("rank", folder, *METRICS, "--plot", tmp_path / "plot.png") == 2
    out, err = capsys.readouterr()
    assert "model4" in out and "truth.csv: fewer than two models" in out
    assert "two models in common" in err and not (tmp_path / "plot.png").exists()


def test_wrong_folders(tmp_path, capsys):
    assert run("rank", tmp_path / "absent") == 2
    assert "is not a folder" in capsys.readouterr().err
    assert run("rank", tmp_path) == 2
    assert "holds no features" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["rank"], ["paint"], ["rank", ".", "--jobs", "two"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "usage: transfer-kernels" in capsys.readouterr().err


# ---------------------------------------------------------------------------- resuming


def test_a_second_run_takes_what_is_finished(folder, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    assert run("rank", folder, *METRICS, "--out", out) == 0
    first, _ = capsys.readouterr()
    assert run("rank", folder, *METRICS, "--out", out) == 0
    second, err = capsys.readouterr()
    assert "10 of 10 scores are from" in err and "scores.csv.journal" in err
    assert second == first
    assert run("rank", folder, *METRICS, "--out", out, "--fresh") == 0
    assert capsys.readouterr().err == ""
    np.save(folder / "model0.npy", np.load(folder / "model2.npy"))
    assert run("rank", folder, *METRICS, "--out", out) == 0
    assert "8 of 10 scores are from" in capsys.readouterr().err


def test_without_an_output_the_journal_is_in_the_cache(folder, private_cache, capsys):
    assert run("rank", folder, *METRICS) == 0
    assert len(list((private_cache / "transfer_kernels").iterdir())) == 1
    capsys.readouterr()
    assert run("rank", folder, *METRICS) == 0
    assert "10 of 10 scores are from" in capsys.readouterr().err


def test_an_unusable_cache_is_no_obstacle(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert run("rank", folder, *METRICS) == 0


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupt_and_resume(tmp_path, jobs):
    folder, out = tmp_path / "zoo", tmp_path / "scores.csv"
    folder.mkdir()
    for i in range(30):
        features, labels = make_problem(300, 20, 5, seed=2, spread=0.05 * i)
        np.save(folder / f"model{i:02d}.npy", features)
    np.save(folder / "labels.npy", labels)
    command = [sys.executable, "-m", "transfer_kernels", "rank", folder, "--out", out]
    command += ["--jobs", str(jobs)]
    journal = out.with_name("scores.csv.journal")
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "interrupted; finished scores are kept" in stderr and "Traceback" not in stderr
    assert stdout == "" and not out.exists()
    finished = len(journal.read_text().splitlines())
    assert 0 < finished < 90

    resumed = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    assert f"{finished} of 90 scores are from" in resumed.stderr
    assert len(list(csv.DictReader(out.open()))) == 30


WORKERS = """
import signal
from transfer_kernels.zoo.scoring import Target
from transfer_kernels.zoo.worker_pool import WorkerPool

if __name__ == "__main__":
    with WorkerPool(2, Target([0, 1], None)) as pool:
        for worker in pool._workers:
            with open(f"/proc/{worker.process.pid}/status") as status:
                held = next(line.split()[1] for line in status if line.startswith("SigBlk"))
            print(int(held, 16) >> signal.SIGINT - 1 & 1)
    print(int(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_workers_never_see_an_interrupt():
    """Not while they start either, where it would print a traceback."""
    result = in_subprocess(WORKERS)
    assert result.stdout.split() == ["1", "1", "0"], result.stderr


# ---------------------------------------------------------------------------- info and start-up


def test_info_reports_the_backends(capsys):
    assert run("info") == 0
    assert "reference" in capsys.readouterr().out


def test_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    from transfer_kernels import __version__

    assert capsys.readouterr().out == f"transfer-kernels {__version__}\n"


def test_warnings_are_one_line_each(folder, capsys):
    for path in folder.glob("model*"):
        path.unlink()
    np.save(folder / "wide.npy", make_problem(60, 90, 3)[0])
    assert run("rank", folder, "--metric", "sfda") == 0
    err = capsys.readouterr().err
    assert err.startswith("transfer-kernels: warning: ")
    assert ".py" not in err.splitlines()[0]


def test_a_reader_that_leaves_early_causes_no_traceback(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "transfer_kernels", "rank", folder, *METRICS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=120) == 0


def test_help_starts_quickly_and_without_heavy_packages():
    code = (
        "import sys; from transfer_kernels.cli.main import main\n"
        "try: main(['rank', '--help'])\n"
        "except SystemExit: pass\n"
        "print('heavy:', {'torch', 'numba', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("heavy: set()\n"), done.stdout + done.stderr


# ---------------------------------------------------------------------------- named inputs


def nearness(problem):
    return -float(np.abs(problem.inputs.reference.mean() - problem.features.mean()))


def certainty(problem):
    return float(problem.inputs.posteriors.max())


@pytest.fixture
def toy_metrics(monkeypatch):
    from transfer_kernels.metrics import METRICS, Metric

    monkeypatch.setattr(METRICS, "_metrics", dict(METRICS._metrics))
    METRICS.register(Metric("nearness", nearness, "", (), needs={"features", "reference"}))
    METRICS.register(Metric("certainty", certainty, "", (), needs={"posteriors"}))


def test_inputs_of_the_target_are_options(folder, capsys, tmp_path, toy_metrics):
    reference = folder / "reference.npy"
    np.save(reference, np.ones((60, 2)))
    out = tmp_path / "scores.json"
    arguments = ("rank", folder, "--metric", "nearness", "--reference", reference, "--out", out)
    assert run(*arguments) == 0
    models = json.loads(out.read_text())["models"]
    assert len(models) == 5  # the reference is no model
    expected = -abs(1.0 - np.load(folder / "model4.npy").mean(dtype=float))
    found = {row["model"]: row["scores"]["nearness"] for row in models}
    assert found["model4"] == pytest.approx(expected, rel=1e-6)
    assert run(*arguments) == 0
    assert "5 of 5 scores are from" in capsys.readouterr().err
    np.save(reference, np.zeros((60, 2)))
    assert run(*arguments) == 0
    assert "scores are from" not in capsys.readouterr().err


def test_models_without_an_input_have_empty_cells(folder, capsys, toy_metrics):
    labels = np.load(folder / "labels.npy")
    theta = np.full((60, 2), 0.5)
    np.savez(folder / "model9.npz", features=np.eye(60, 6), posteriors=theta, labels=labels)
    assert run("rank", folder, "--metric", "certainty") == 0
    out, err = capsys.readouterr()
    assert "model9" in out.splitlines()[2] and "0.5" in out.splitlines()[2]
    assert "certainty: no score of model0, model1" in err and "without posteriors" in err


def test_all_metrics(folder, capsys, toy_metrics):
    assert run("rank", folder, "--metric", "all") == 0
    out, err = capsys.readouterr()
    assert all(name in out for name in ("sfda", "logme", "parc", "lfc", "hscore", "consensus"))
    assert out.startswith("over all metrics\n") and "\non pairs of samples\n" in out
    assert 'warning: metrics="all" leaves out' in err and "certainty" in err


def test_the_listing_tells_what_metrics_need(capsys, toy_metrics):
    assert run("metrics") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("nearness") + 2] == "    needs features, reference"
    assert lines[lines.index("lfc") + 2].startswith("    classification; Deshpande")
