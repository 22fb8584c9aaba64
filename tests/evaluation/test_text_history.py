"""The script of the second history: its tasks, that no file is in two parts, and a trial run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from transfer_kernels.recommend import TransferHistory

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def scripts():
    pytest.importorskip("torch")
    pytest.importorskip("tqdm")
    sys.path.insert(0, str(EXAMPLES))
    try:
        import make_text_history
        import text_tasks
    finally:
        sys.path.remove(str(EXAMPLES))
    return make_text_history, text_tasks


def test_every_task_has_its_classes_in_both_parts(scripts):
    make, tasks = scripts
    assert len(tasks.TARGETS) >= 24 and len(make.MODELS) >= 16
    for name, (sample, classes) in tasks.TARGETS.items():
        for part in ("train", "test"):
            x, y = sample(part, 400, np.random.default_rng(0))
            assert x.shape == (400, tasks.WINDOW) and x.dtype == np.uint8, name
            assert set(y) == set(range(classes)), name
            assert np.bincount(y).max() < 0.9 * len(y), name


def test_parts_are_of_different_files(scripts):
    _, tasks = scripts
    for kind in ("code", "docstrings", "json"):
        texts = [tasks.texts(kind, part) for part in tasks.PARTS]
        assert len(set(texts)) == 3 and all(len(text) > 1000 for text in texts)


def test_a_trial_makes_tables_that_are_read(scripts, tmp_path, monkeypatch):
    make, tasks = scripts
    some = ("case", "noise_two", "kind_three")
    monkeypatch.setattr(make, "TARGETS", {name: tasks.TARGETS[name] for name in some})
    monkeypatch.setattr(make, "MODELS", ["bag-none", "transformer-next_byte"])
    for model in make.MODELS:
        make.accuracies(tmp_path, model, make.QUICK)
    make.write_tables(tmp_path, tmp_path / "out")
    history = TransferHistory.read_csv(tmp_path / "out" / "accuracies.csv")
    assert history.models == ("bag-none", "transformer-next_byte") and history.tasks == some
    assert history.known.all() and set(history.fact("parameters")) == set(history.models)
    assert (tmp_path / "out" / "groups.csv").read_text().splitlines()[1] == "case,case"
    assert len((tmp_path / "out" / "scores.csv").read_text().splitlines()) == 7
