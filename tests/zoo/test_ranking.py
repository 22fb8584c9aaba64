"""Ranking: the table, its orders, failures of single models, workers, and the journal."""

import csv
import functools
import json
import math
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import in_subprocess, make_problem

from transfer_kernels.files.score_files import Journal, JournalEntry, array_digest, write_atomically
from transfer_kernels.kernels.threads import thread_count
from transfer_kernels.metrics import MetricCall, Problem, UninformativeScoreWarning, metric_call
from transfer_kernels.ops import backends
from transfer_kernels.zoo.ranking import ModelScores, Ranking, rank

METRICS = ("logme", "sfda")
rank = functools.partial(rank, backend="reference", metrics=METRICS)


def small_zoo(n_models=4, n=60, d=6):
    """Models whose features separate the classes better and better, and the labels."""
    zoo = {}
    for i in range(n_models):
        zoo[f"model{i}"], labels = make_problem(n, d, 3, seed=1, spread=0.3 * i)
    return zoo, labels


def save_zoo(folder, zoo):
    paths = {}
    for name, features in zoo.items():
        paths[name] = folder / f"{name}.npy"
        np.save(paths[name], features)
    return paths


def made_up(columns, **options):
    """Build a ranking from metric -> scores of the models a, b, c, …"""
    n_models = len(next(iter(columns.values())))
    rows = [
        ModelScores(
            chr(ord("a") + i),
            {metric: scores[i] for metric, scores in columns.items()},
            dict.fromkeys(columns, 0.5),
            "ValueError: bad" if any(math.isnan(s[i]) for s in columns.values()) else None,
        )
        for i in range(n_models)
    ]
    return Ranking(rows, list(columns), **options)


# ---------------------------------------------------------------------------- scores and order


def test_scores_are_those_of_the_metrics(backend):
    zoo, labels = small_zoo()
    ranking = rank(zoo, labels, metrics=("sfda", "logme", "parc"), backend=backend)
    for name, features in zoo.items():
        problem = Problem(features, labels, backend=backend)
        for metric in ranking.metrics:
            assert ranking.scores[name][metric] == metric_call(metric)(problem)
    assert [row.name for row in ranking] == ["model3", "model2", "model1", "model0"]
    assert all(seconds > 0 for row in ranking for seconds in row.seconds.values())


def test_sources_may_be_arrays_tensors_paths_and_functions(tmp_path):
    torch = pytest.importorskip("torch")
    zoo, labels = small_zoo(1)
    features = zoo["model0"]
    np.savez(tmp_path / "own.npz", features=features, labels=labels)
    sources = {
        "array": features,
        "tensor": torch.tensor(features, requires_grad=True),
        "path": tmp_path / "own.npz",
        "text": str(tmp_path / "own.npz"),
        "function": lambda: features,
    }
    ranking = rank(sources, labels)
    assert not ranking.errors
    assert len({row.scores["logme"] for row in ranking}) == 1
    without_labels = rank({"path": sources["path"], "array": features})
    assert without_labels.scores["path"] == ranking.scores["path"] | {
        "consensus": without_labels.scores["path"]["consensus"]
    }
    assert "labels: none were given" in without_labels.errors["array"]


def test_order_best_and_ranks():
    ranking = made_up({"m": [1.0, 3.0, 2.0, 3.0], "w": [9.0, 1.0, 2.0, 3.0]})
    assert [row.name for row in ranking] == ["b", "d", "c", "a"]
    assert ranking.ranks("m") == {"b": 1, "d": 1, "c": 3, "a": 4}
    assert ranking.best() == ["b"]
    assert ranking.best(3) == ["b", "d", "c"]
    assert ranking.best(2, metric="w") == ["a", "d"]
    assert ranking[0].name == "b" and ranking[-1].name == "a" and len(ranking) == 4
    assert made_up({"m": [1.0, 2.0], "w": [2.0, 1.0]}, order_by="w")[0].name == "a"


def test_consensus_is_minus_the_mean_rank():
    ranking = made_up({"m": [1.0, 2.0, 3.0], "w": [3.0, 3.0, 1.0]}, order_by="consensus")
    assert ranking.column("consensus") == {"b": -1.75, "c": -2.0, "a": -2.25}
    assert ranking.best() == ["b"]
    assert "consensus" not in made_up({"m": [1.0, 2.0]}).columns


def test_layers_add_the_heuristic_beside_the_plain_score():
    plain = [1.0, 2.0, 6.0]
    ranking = made_up({"m": plain}, layers={"a": 200, "b": 0, "c": 50})
    standardised = (np.array(plain) - np.mean(plain)) / np.std(plain)
    expected = dict(zip("abc", standardised + np.array([4.0, 0.0, 1.0]), strict=True))
    assert ranking.column("m + layers") == pytest.approx(expected)
    assert ranking.column("m") == dict(zip("abc", plain, strict=True))
    assert ranking.order_by == "m + layers"
    assert ranking.best() == ["a"]
    assert ranking.best(metric="m") == ["c"]
    equal = made_up({"m": [2.0, 2.0]}, layers={"a": 50, "b": 100})
    assert equal.column("m + layers") == {"b": 2.0, "a": 1.0}


def test_evaluate_compares_every_column():
    ranking = made_up({"m": [1.0, 2.0, 3.0], "w": [3.0, 2.0, 1.0]})
    evaluations = ranking.evaluate({"a": 0.1, "b": 0.2, "c": 0.3})
    assert evaluations["m"].kendall == 1.0
    assert evaluations["w"].kendall == -1.0
    assert evaluations["consensus"].kendall == 0.0


# ---------------------------------------------------------------------------- failures


def test_a_failing_model_loses_no_other():
    zoo, labels = small_zoo(3)
    zoo["broken"] = zoo["model0"].copy()
    zoo["broken"][4, 2] = np.nan
    zoo["absent"] = "absent.npy"
    ranking = rank(zoo, labels)
    assert [row.name for row in ranking][:3] == ["model2", "model1", "model0"]
    assert set(ranking.errors) == {"broken", "absent"}
    assert "row 4" in ranking.errors["broken"]
    assert ranking.errors["absent"] == "FileNotFoundError: absent.npy: no such file"
    assert math.isnan(ranking.scores["broken"]["logme"])
    assert ranking.best(5) == ["model2", "model1", "model0"]
    assert "row 4" in str(ranking)
    assert "broken" not in ranking.ranks("consensus")


def test_a_failing_metric_keeps_the_others_of_its_model():
    zoo, labels = small_zoo(2)
    ranking = rank(zoo, labels, metrics=("logme", "parc(n_components=40)"))
    for row in ranking:
        assert math.isfinite(row.scores["logme"])
        assert math.isnan(row.scores["parc(n_components=40)"])
        assert row.error.startswith("parc(n_components=40): ValueError")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"zoo": {}}, ValueError, "holds no model"),
        ({"zoo": [1]}, TypeError, "mapping from model name"),
        ({"zoo": {1: [[0.0]]}}, TypeError, "names are texts"),
        ({"metrics": ()}, ValueError, "none given"),
        ({"metrics": "entropy"}, ValueError, "'entropy' is unknown; there are .*sfda"),
        ({"order_by": "parc"}, ValueError, "it is one of logme, sfda, consensus"),
        ({"layers": {"model0": 1}}, ValueError, "no number for 'model1'"),
        ({"n_jobs": 0}, ValueError, "at least 1"),
        ({"n_jobs": "all"}, TypeError, "n_jobs must be an integer"),
        ({"backend": "abacus"}, ValueError, "abacus"),
    ],
)
def test_refusals_come_before_any_work(options, error, message):
    zoo, labels = small_zoo(2)
    zoo = {name: lambda: pytest.fail("scoring has started") for name in zoo}
    with pytest.raises(error, match=message):
        rank(**{"zoo": zoo, "labels": labels, **options})


def test_unknown_columns_are_refused():
    ranking = made_up({"m": [1.0, 2.0]})
    with pytest.raises(ValueError, match="'w' is not in this ranking; it has 'm'"):
        ranking.best(metric="w")
    with pytest.raises(ValueError, match="at least 1"):
        ranking.best(0)


# ---------------------------------------------------------------------------- appearance


def test_text_table_is_aligned_and_complete():
    ranking = made_up({"m": [1.0, math.nan, 2.5], "w": [0.12344, 0.5, 0.12341]})
    lines = str(ranking).splitlines()
    assert lines[0].split() == [
        "#",
        "model",
        "m",
        "time",
        "w",
        "#",
        "time",
        "mean",
        "#",
        "#",
        "error",
    ]
    assert lines[2].split()[:3] == ["1", "c", "2.5000"]
    assert lines[4].split()[:3] == ["–", "b", "–"]
    assert "0.12344" in lines[3] and "0.12341" in lines[2]  # as many digits as tell them apart
    assert lines[4].endswith("ValueError: bad")
    assert repr(ranking) == str(ranking)


def test_html_is_escaped():
    row = ModelScores("<b>", {"m": 1.0}, {"m": 1.0}, "ValueError: <script>")
    html = Ranking([row], ["m"])._repr_html_()
    assert "&lt;b&gt;" in html and "<script>" not in html


def test_exports_agree(tmp_path):
    pandas = pytest.importorskip("pandas")
    ranking = made_up(
        {"m": [1.0, math.nan, 2.5], "w": [1 / 3, 0.5, 0.25]}, layers=dict.fromkeys("abc", 1)
    )
    ranking.to_csv(tmp_path / "scores.csv")
    ranking.to_json(tmp_path / "scores.json")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    content = json.loads((tmp_path / "scores.json").read_text())
    frame = ranking.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert [r["model"] for r in rows] == [m["model"] for m in content["models"]] == ["c", "a", "b"]
    assert list(frame.index) == ["c", "a", "b"]
    assert (
        float(rows[1]["w"]) == content["models"][1]["scores"]["w"] == frame.loc["a", "w"] == 1 / 3
    )
    assert rows[2]["m"] == "" and content["models"][2]["scores"]["m"] is None
    assert content["models"][0]["ranks"] == {
        "m": 1, "w": 3, "m + layers": 1, "w + layers": 3, "consensus": 1
    }  # fmt: skip
    assert content["models"][2]["error"] == rows[2]["error"] == "ValueError: bad"


def test_plots_are_figures_with_every_model(tmp_path):
    pytest.importorskip("matplotlib")
    from transfer_kernels.display.plots import save_figure

    ranking = made_up({"m": [1.0, math.nan, 2.5, 0.5], "w": [0.1, 0.5, 0.2, 0.3]})
    figure = ranking.plot()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["d", "a", "c"]
    truth = {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.1}
    figure, tau = ranking.plot(truth=truth), ranking.evaluate(truth)["w"].weighted_kendall
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "m: weighted τ = 1.00",
        f"w: weighted τ = {tau:.2f}",
    ]
    assert {text.get_text() for text in figure.axes[1].texts} == {"a", "b", "c", "d"}
    for suffix, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        save_figure(figure, tmp_path / f"plot{suffix}")
        assert (tmp_path / f"plot{suffix}").read_bytes().startswith(magic)
    with pytest.raises(ValueError, match="pictures are written as"):
        save_figure(figure, tmp_path / "plot.bmp")
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize(
    ("missing", "call", "extra"),
    [("matplotlib", Ranking.plot, "plot"), ("pandas", Ranking.to_pandas, "pandas")],
)
def test_a_missing_extra_is_named(monkeypatch, missing, call, extra):
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"transfer_kernels\[{extra}\]"):
        call(made_up({"m": [1.0, 2.0]}))


def test_progress_bar_is_on_stderr_and_only_when_wanted(capsys):
    zoo, labels = small_zoo(2)
    rank(zoo, labels)
    assert capsys.readouterr() == ("", "")
    rank(zoo, labels, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "/4" in err


def test_importing_costs_none_of_the_heavy_packages():
    code = """
import sys
import transfer_kernels.cli.main, transfer_kernels.zoo.ranking, transfer_kernels.display.plots
import transfer_kernels.evaluation
import transfer_kernels.files.feature_files, transfer_kernels.files.target_files
heavy = {"scipy.stats", "tqdm", "pandas", "matplotlib", "torch", "safetensors", "numba"}
print(sorted(heavy & set(sys.modules)))
"""
    done = in_subprocess(code)
    assert done.stdout.strip() == "[]", done.stderr


# ---------------------------------------------------------------------------- workers


def test_workers_give_the_same_scores(tmp_path):
    zoo, labels = small_zoo(5)
    paths = save_zoo(tmp_path, zoo)
    alone, shared = (rank(paths, labels, n_jobs=n) for n in (1, 3))
    in_memory = rank(zoo, labels, n_jobs=2)
    for name, scores in alone.scores.items():
        assert shared.scores[name] == pytest.approx(scores, rel=1e-12)
        assert in_memory.scores[name] == pytest.approx(scores, rel=1e-12)


def test_a_worker_that_dies_costs_one_model(tmp_path):
    zoo, labels = small_zoo(4)
    sources = {"deadly": functools.partial(os._exit, 7), **save_zoo(tmp_path, zoo)}
    sources["unsendable"] = lambda: zoo["model0"]
    ranking = rank(sources, labels, n_jobs=2)
    assert set(ranking.errors) == {"deadly", "unsendable"}
    assert "died with exit code 7" in ranking.errors["deadly"]
    assert "cannot be sent to a worker process" in ranking.errors["unsendable"]
    assert ranking.best(4) == rank(zoo, labels).best(4)


def test_workers_share_the_threads(tmp_path):
    zoo, labels = small_zoo(2)
    np.save(tmp_path / "one.npy", zoo["model1"])
    sources = {name: functools.partial(features_and_threads, tmp_path, name) for name in "ab"}
    ranking = rank(sources, labels, n_jobs=2)
    assert not ranking.errors
    threads = {int((tmp_path / f"{name}.txt").read_text()) for name in "ab"}
    assert threads == {max(1, thread_count() // 2)}


def features_and_threads(folder, name):
    (folder / f"{name}.txt").write_text(os.environ["TRANSFER_KERNELS_NUM_THREADS"])
    return np.load(folder / "one.npy")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scores_that_say_little_are_warned_of_once_and_kept(tmp_path, n_jobs):
    zoo, labels = small_zoo(2)
    zoo |= {f"wide{i}": make_problem(60, 70, 3, seed=i)[0] for i in range(2)}
    options = {"journal": tmp_path / "journal", "n_jobs": n_jobs}
    for resumed in (False, True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ranking = rank(zoo, labels, **options)
        assert [w.category for w in caught] == [UninformativeScoreWarning], resumed
        assert str(caught[0].message).startswith("wide0, wide1: ")
        assert caught[0].filename == __file__
        reasons = {row.name: dict(row.warnings) for row in ranking}
        assert list(reasons["wide0"]) == ["sfda"] and reasons["model0"] == {}
        json.dumps(ranking.to_dict())


def warn_and_load(path):
    warnings.warn("features are strange", UserWarning, stacklevel=1)
    return np.load(path)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_other_warnings_pass_through(tmp_path, n_jobs):
    zoo, labels = small_zoo(2)
    paths = save_zoo(tmp_path, zoo)
    sources = {name: functools.partial(warn_and_load, path) for name, path in paths.items()}
    with pytest.warns(UserWarning, match="features are strange"):
        assert not rank(sources, labels, n_jobs=n_jobs).errors


def test_a_script_without_a_guard_is_told_so(tmp_path):
    zoo, labels = small_zoo(2)
    save_zoo(tmp_path, zoo)
    np.save(tmp_path / "labels.npy", labels)
    script = tmp_path / "script.py"
    script.write_text(f"""
import numpy as np
from transfer_kernels import rank
zoo = {{name: {str(tmp_path)!r} + f"/{{name}}.npy" for name in ("model0", "model1")}}
rank(zoo, np.load({str(tmp_path / "labels.npy")!r}), "logme", n_jobs=2, backend="reference")
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert 'if __name__ == "__main__":' in done.stderr.splitlines()[-1]


# ---------------------------------------------------------------------------- journal


@pytest.fixture
def computed(monkeypatch):
    """The (model width, metric) pairs that were computed rather than taken from a journal."""
    pairs = []
    original = MetricCall.__call__

    def counted(call, problem):
        pairs.append((problem.n_features, call.spec))
        return original(call, problem)

    monkeypatch.setattr(MetricCall, "__call__", counted)
    return pairs


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_loses_no_finished_score(tmp_path, computed, n_jobs):
    zoo, labels = small_zoo(3)
    paths, journal = save_zoo(tmp_path, zoo), tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt):
        rank({**paths, "last": interrupt}, labels, journal=journal)
    assert len(journal.read_text().splitlines()) == 6
    computed.clear()
    np.save(tmp_path / "last.npy", zoo["model0"][:, :4])
    resumed = rank({**paths, "last": tmp_path / "last.npy"}, labels, journal=journal, n_jobs=n_jobs)
    if n_jobs == 1 or len(computed):
        assert computed == [(4, "logme"), (4, "sfda")]
    fresh = rank({**paths, "last": tmp_path / "last.npy"}, labels)
    for name, scores in fresh.scores.items():
        assert resumed.scores[name] == pytest.approx(scores, rel=1e-12)


def test_whatever_a_score_depends_on_makes_it_anew(tmp_path, computed):
    zoo, labels = small_zoo(2)
    paths, journal = save_zoo(tmp_path, zoo), tmp_path / "journal"

    def n_computed(**options):
        computed.clear()
        rank(**{"zoo": paths, "labels": labels, "journal": journal, **options})
        return len(computed)

    assert n_computed() == 4
    assert n_computed() == 0
    assert n_computed(metrics=("sfda", "logme", "parc")) == 2
    assert n_computed(labels=labels[::-1]) == 4
    assert n_computed(backend="numba") == 4
    assert n_computed(zoo=zoo) == 4  # in memory: by a digest
    assert n_computed(zoo={"model0": zoo["model0"].copy(), "model1": zoo["model1"] + 1}) == 2
    np.save(paths["model0"], zoo["model0"][:, ::-1])
    os.utime(paths["model0"], ns=(1, 1))
    assert n_computed() == 2


def test_a_journal_makes_no_model_fail_the_others(tmp_path):
    zoo, labels = small_zoo(2)
    zoo |= {"none": None, "ragged": [[1.0], [1.0, 2.0]], "absent": tmp_path / "absent.npy"}
    ranking = rank(zoo, labels, journal=tmp_path / "journal")
    assert set(ranking.errors) == {"none", "ragged", "absent"}


def test_failures_are_tried_again(tmp_path, computed):
    zoo, labels = small_zoo(2)
    journal = tmp_path / "journal"
    metrics = ("logme", "parc(n_components=40)")
    rank(zoo, labels, metrics=metrics, journal=journal)
    computed.clear()
    ranking = rank(zoo, labels, metrics=metrics, journal=journal)
    assert {metric for _, metric in computed} == {"parc(n_components=40)"}
    assert len(ranking.errors) == 2


def test_a_half_written_line_is_tolerated(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.add({"model": "a"}, JournalEntry(0.1 + 0.2, 1.0))
    journal.add({"model": "b"}, JournalEntry(2.0, 1.0))
    path.write_bytes(path.read_bytes()[:-9])
    cut = Journal(path)
    assert cut.get({"model": "a"}) == JournalEntry(0.1 + 0.2, 1.0)
    assert cut.get({"model": "b"}) is None
    cut.add({"model": "b"}, JournalEntry(2.0, 1.0))
    whole = Journal(path)
    assert [whole.get({"model": name}).score for name in "ab"] == [0.1 + 0.2, 2.0]
    assert whole.reused == 2
    for text in ("\x00\n", "[]\n", "{}\n", '{"score": "x", "seconds": 1}\n'):
        path.write_text(text)
        assert Journal(path).get({}) is None


def test_a_cleared_journal_keeps_its_file_until_there_is_a_new_score(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.add({"model": "a"}, JournalEntry(1.0, 1.0))
    journal.clear()
    assert journal.get({"model": "a"}) is None
    assert Journal(journal.path).get({"model": "a"}) is not None
    journal.add({"model": "b"}, JournalEntry(2.0, 1.0))
    reread = Journal(journal.path)
    assert reread.get({"model": "a"}) is None and reread.get({"model": "b"}) is not None


def test_digests_tell_values_types_and_shapes_apart():
    torch = pytest.importorskip("torch")
    a = np.arange(6.0)
    different = [a, a.astype(np.float32), a.reshape(2, 3), a[::-1], a.astype(str)]
    different += [["a", 1], torch.arange(6.0), torch.arange(6.0).bfloat16()]
    different.append(np.array(["a", 1, None], dtype=object))
    assert len({array_digest(array) for array in different}) == len(different)
    assert array_digest(a) == array_digest(np.repeat(a, 2)[::2])
    long = np.arange(10_000)
    changed = long.copy()
    changed[-1] = 0
    assert array_digest(long) != array_digest(changed)


def test_atomic_writes_keep_the_old_file_on_failure(tmp_path, monkeypatch):
    path = tmp_path / "scores.csv"
    write_atomically(path, "old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_that_nothing_serves_is_told_before_any_work(monkeypatch):
    on_host = [backend for backend in backends.BACKENDS if backend.device == "cpu"]
    monkeypatch.setattr(backends, "BACKENDS", on_host)
    zoo, labels = small_zoo()
    with pytest.raises(ValueError, match="no backend serves arrays on 'cuda'"):
        rank(zoo, labels, backend=None, device="cuda:0")


def test_features_are_copied_to_the_device():
    pytest.importorskip("torch")
    zoo, labels = small_zoo()
    zoo["mapped"] = np.broadcast_to(zoo["model1"][:1], zoo["model1"].shape) + zoo["model2"]
    zoo["mapped"].flags.writeable = False
    here, there = rank(zoo, labels), rank(zoo, labels, device="cpu")
    assert {row.name: dict(row.scores) for row in here} == {
        row.name: dict(row.scores) for row in there
    }
