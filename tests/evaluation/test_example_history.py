"""The example history of transfers: complete, far from its bounds, and made by its script."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from transfer_kernels.evaluation.yardstick import MEAN_RANK, leave_one_task_out
from transfer_kernels.recommend import TransferHistory

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HISTORY = EXAMPLES / "transfer_history"


@pytest.fixture(scope="module")
def history():
    return TransferHistory.read_csv(HISTORY / "accuracies.csv", task_table=HISTORY / "tasks.csv")


@pytest.fixture(scope="module")
def seeds(history):
    """Accuracies of all (models, tasks, seeds)."""
    with (HISTORY / "seeds.csv").open(newline="") as file:
        rows = {(row.pop("model"), row.pop("task")): row for row in csv.DictReader(file)}
    assert len(rows) == len(history.models) * len(history.tasks)
    return np.array(
        [
            [[float(a) for a in rows[model, task].values()] for task in history.tasks]
            for model in history.models
        ]
    )


@pytest.fixture(scope="module")
def results():
    return json.loads((HISTORY / "results.json").read_text())


@pytest.fixture
def script(monkeypatch):
    """The module that makes the history, in one thread as it runs."""
    torch = pytest.importorskip("torch")
    for needed in ("sklearn", "skimage", "safetensors"):
        pytest.importorskip(needed)
    monkeypatch.syspath_prepend(EXAMPLES)
    import make_transfer_history

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    make_transfer_history.single_threaded()
    yield make_transfer_history
    torch.set_num_threads(before[0])
    torch.use_deterministic_algorithms(before[1])


def test_the_table_is_complete(history):
    assert len(history.models) >= 16
    assert len(history.tasks) >= 24
    assert history.known.all()
    assert ((history.performance > 0) & (history.performance < 1)).all()
    for fact in ("parameters", "layers"):
        assert len(history.fact(fact)) == len(history.models)
    for fact in ("images", "classes"):
        assert len(history.task_fact(fact)) == len(history.tasks)


def test_an_accuracy_is_the_mean_over_its_seeds(history, seeds):
    assert seeds.shape[2] >= 2
    np.testing.assert_allclose(history.performance, seeds.mean(axis=2), rtol=0, atol=2e-6)
    assert (seeds.std(axis=2) > 0).mean() > 0.9


def test_no_task_is_saturated(history):
    best, worst = history.performance.max(axis=0), history.performance.min(axis=0)
    assert best.max() < 0.97
    assert (best - worst).min() > 0.08
    assert ((history.performance > 0.95).sum(axis=0) <= 3).all()


def test_every_task_can_be_learnt(history):
    chance = 1 / np.array(list(history.task_fact("classes").values()))
    assert (history.performance.max(axis=0) > chance + 0.1).all()


def test_the_spread_within_a_task_is_far_beyond_the_noise(seeds):
    runs = seeds.shape[2]
    relative = seeds - seeds.mean(axis=0)  # a draw that is easier for all changes no order
    noise = relative.var(axis=2, ddof=1).mean(axis=0) / runs
    spread = seeds.mean(axis=2).var(axis=0, ddof=1)
    assert (spread > 3 * noise).all()
    assert np.median(spread / noise) > 10


def test_no_model_is_best_everywhere(history):
    winners = np.bincount(history.performance.argmax(axis=0), minlength=len(history.models))
    assert np.count_nonzero(winners) >= 5
    assert winners.max() < len(history.tasks) / 2


def test_the_readme_names_every_model_and_task(history):
    text = (HISTORY / "README.md").read_text()
    for name in [*history.models, *history.tasks]:
        assert f"| {name} |" in text


def test_what_is_committed_is_small():
    assert sum(path.stat().st_size for path in HISTORY.iterdir() if path.is_file()) < 1_300_000


def test_results_are_of_these_tasks(history, results):
    for name, result in results.items():
        assert set(result["tasks"]) == set(history.tasks), name
        values = [figures["weighted_kendall"] for figures in result["tasks"].values()]
        mean = result["mean"]["weighted_kendall"]
        assert mean == pytest.approx(np.mean(values), abs=1e-9), name
        low, high = result["interval"]["weighted_kendall"]
        assert low <= mean <= high, name
    assert abs(results["random (control)"]["mean"]["weighted_kendall"]) < 0.1


def test_results_of_the_mean_rank_follow_from_the_table(history, results):
    again = leave_one_task_out(history).values(MEAN_RANK)
    for task, figures in results[MEAN_RANK]["tasks"].items():
        assert again[task] == pytest.approx(figures["weighted_kendall"], abs=1e-9), task


def test_the_readme_has_the_results(results):
    text = (HISTORY / "README.md").read_text()
    for name, result in results.items():
        row = f"| {name} | {result['cost']['models_run']:.0f} |"
        assert f"{row} {result['mean']['weighted_kendall']:.3f} |" in text


def test_the_tables_are_of_the_script(script, history):
    assert [model.name for model in script.MODELS] == list(history.models)
    assert list(script.TARGETS) == list(history.tasks)
    labelled = {task: target.labelled for task, target in script.TARGETS.items()}
    assert history.task_fact("images") == labelled


@pytest.mark.parametrize("task", ["digits_low", "scenes_darkest"])
def test_an_entry_made_again_is_the_committed_one(tmp_path, script, history, seeds, task):
    model = next(m for m in script.MODELS if m.name == "mlp_wide-none")
    script.keep_backbone(tmp_path / "backbones", model, script.FULL)
    target = script.target_task(task, script.SEED)
    place = history.models.index(model.name), history.tasks.index(task)
    for run, committed in enumerate(seeds[place]):
        made = script.accuracy_after(tmp_path, model, task, target, run, script.FULL)
        # Another machine rounds otherwise, and training magnifies it.
        assert made == pytest.approx(committed, abs=0.02)


def test_features_are_kept_and_made_once(tmp_path, script, monkeypatch):
    models = [m for m in script.MODELS if m.source == script.NO_SOURCE]
    monkeypatch.setattr(script, "MODELS", models)
    for model in [*models, script.PROXY]:
        script.keep_backbone(tmp_path / "backbones", model, script.QUICK)
    script.keep_features(tmp_path, "digits_3589")
    history = TransferHistory(
        [m.name for m in models],
        ["digits_3589"],
        features=tmp_path / "features",
        proxies=tmp_path / "proxies",
    )
    target = script.target_task("digits_3589", script.SEED)
    for model in models:
        features, labels = history.features(model.name, "digits_3589")
        assert features.shape == (len(labels), script.NETWORKS[model.network].width)
        np.testing.assert_array_equal(labels, target.train_labels)
    proxy = history.proxy("digits_3589")
    np.testing.assert_array_equal(proxy.labels, target.train_labels)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    script.keep_features(tmp_path, "digits_3589")
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}


def test_accuracies_are_kept_and_made_once(tmp_path, script, monkeypatch):
    models = [m for m in script.MODELS if m.name == "mlp_wide-none"]
    monkeypatch.setattr(script, "MODELS", models)
    script.keep_backbone(tmp_path / "backbones", models[0], script.QUICK)
    script.keep_accuracies(tmp_path, "digits_few", 0, script.QUICK)
    kept = tmp_path / "accuracies" / "digits_few-0.json"
    assert 0 < json.loads(kept.read_text())["mlp_wide-none"] < 1
    kept.write_text('{"mlp_wide-none": 0.125}')
    script.keep_accuracies(tmp_path, "digits_few", 0, script.QUICK)
    assert kept.read_text() == '{"mlp_wide-none": 0.125}'


def test_nothing_tested_on_was_trained_on(script):
    for task in ("digits_few", "digits_high", "unseen"):
        target = script.target_task(task, script.SEED)
        trained = {image.tobytes() for image in target.train_images}
        assert not any(image.tobytes() in trained for image in target.test_images), task
        assert set(target.test_labels) == set(range(target.n_classes))
