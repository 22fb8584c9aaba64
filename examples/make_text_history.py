"""Make a second history, of other data than the first: small text networks on small text tasks.

    python examples/make_text_history.py [--out DIR] [--cache DIR] [--jobs N] [--quick]

It is there to report on once, after everything was chosen on the first history: nothing may be
tuned on it. The tasks are in `text_tasks`. Sixteen networks (bags of bytes, convolutions, recurrent
ones, transformers), pre-trained on one of four things or nothing, are fine-tuned on every task with
two seeds; the table of accuracies, the metrics' scores and the groups of the tasks go to `--out`.
Finished pieces are kept in `--cache`, so that a run that was stopped goes on where it was.
"""

import argparse
import csv
import json
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from text_tasks import TARGETS, WINDOW, among, changed, group_of, same, shuffled, windows
from torch import Tensor, nn
from tqdm import tqdm

from transfer_kernels.metrics import score

HERE = Path(__file__).parent
SEED = 11
WIDTH = 48
METRICS = ("logme", "fda_score", "sfda", "parc")
SOURCES = ("none", "next byte", "kind", "shuffled")
NETWORKS = ("bag", "convolution", "recurrent", "transformer")
MODELS = [f"{network}-{source.replace(' ', '_')}" for network in NETWORKS for source in SOURCES]


@dataclass(frozen=True)
class Effort:
    """How long is trained, on how much."""

    pretraining_steps: int
    fine_tuning_steps: int
    labelled: int
    tested: int
    seeds: int


FULL = Effort(1500, 80, 160, 1000, 2)
QUICK = Effort(2, 2, 40, 40, 2)


class Backbone(nn.Module):
    """Bytes (n, WINDOW) to features (n, WIDTH)."""

    def __init__(self, network: str) -> None:
        super().__init__()
        self.network = network
        self.embedding = nn.Embedding(128, WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(WINDOW, WIDTH))
        self.body: nn.Module
        if network == "convolution":
            layers = [nn.Conv1d(WIDTH, WIDTH, 5, padding=2), nn.ReLU()] * 2
            self.body = nn.Sequential(*[_fresh(layer) for layer in layers])
        elif network == "recurrent":
            self.body = nn.GRU(WIDTH, WIDTH, batch_first=True)
        elif network == "transformer":
            layer = nn.TransformerEncoderLayer(
                WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
            )
            self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        else:
            self.body = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over the window of what the body makes of its bytes."""
        embedded = self.embedding(x.long().clamp(max=127))
        if self.network == "bag":
            return self.body(embedded.mean(dim=1))
        if self.network == "convolution":
            return self.body(embedded.transpose(1, 2)).mean(dim=2)
        if self.network == "recurrent":
            return self.body(embedded)[0].mean(dim=1)
        return self.body(embedded + self.places).mean(dim=1)


def _fresh(layer: nn.Module) -> nn.Module:
    return nn.Conv1d(WIDTH, WIDTH, 5, padding=2) if isinstance(layer, nn.Conv1d) else nn.ReLU()


def train(network: nn.Module, batches, steps: int, rate: float) -> None:
    """Minimise the cross-entropy of batches (x, y) by AdamW."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    network.train()
    for step in range(steps):
        x, y = batches(step)
        loss = nn.functional.cross_entropy(network(torch.tensor(x)), torch.tensor(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def pretrained(model: str, effort: Effort) -> Backbone:
    """Return a backbone, pre-trained on files that no task sees."""
    network, source = model.split("-")
    torch.manual_seed(SEED + MODELS.index(model))
    backbone = Backbone(network)
    if source == "none":
        return backbone
    rng = np.random.default_rng([SEED, MODELS.index(model)])

    def next_byte(step: int):
        found = windows("code", "pretrain", 64, rng)
        return np.roll(found, 1, axis=1) * (np.arange(WINDOW) > 0), found[:, -1] % 128

    tasks = {
        "kind": (among("code", "docstrings", "comments"), 3),
        "shuffled": (changed("code", same, shuffled), 2),
    }
    if source == "next_byte":
        batches, classes = next_byte, 128
    else:
        sample, classes = tasks[source]
        batches = lambda step: sample("pretrain", 64, rng)  # noqa: E731
    train(
        nn.Sequential(backbone, nn.Linear(WIDTH, classes)), batches, effort.pretraining_steps, 2e-3
    )
    return backbone


def target(task: str, effort: Effort) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return a task's training windows and labels, and those to test on."""
    sample, _ = TARGETS[task]
    rng = np.random.default_rng([SEED, *task.encode()])
    return *sample("train", effort.labelled, rng), *sample("test", effort.tested, rng)


def accuracies(cache: Path, model: str, effort: Effort) -> None:
    """Fine-tune one model on every task and seed; write the accuracies and the metrics' scores."""
    path = cache / f"{model}.json"
    if path.exists():
        return
    torch.set_num_threads(1)
    state = pretrained(model, effort).state_dict()
    reached: dict[str, list[float]] = {}
    scores: dict[str, dict[str, float]] = {}
    for task, (_, classes) in TARGETS.items():
        x, y, x_test, y_test = target(task, effort)
        backbone = Backbone(model.split("-")[0])
        backbone.load_state_dict(state)
        with torch.no_grad():
            features = backbone.eval()(torch.tensor(x)).numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores[task] = score(features, y, list(METRICS))
        reached[task] = []
        for seed in range(effort.seeds):
            torch.manual_seed(1000 + seed)
            rng = np.random.default_rng([seed, *task.encode()])
            backbone.load_state_dict(state)
            network = nn.Sequential(backbone, nn.Linear(WIDTH, classes))

            def batches(step: int, rng=rng, x=x, y=y):
                drawn = rng.integers(len(x), size=20)
                return x[drawn], y[drawn]

            train(network, batches, effort.fine_tuning_steps, 2e-3)
            with torch.no_grad():
                guesses = network.eval()(torch.tensor(x_test)).argmax(dim=1).numpy()
            reached[task].append(float(np.mean(guesses == y_test)))
    part = path.with_suffix(".part")
    part.write_text(json.dumps([reached, scores]))
    part.replace(path)


def write_tables(cache: Path, out: Path) -> None:
    """Write accuracies, the accuracies of every seed, scores, and the groups of the tasks."""
    found = {model: json.loads((cache / f"{model}.json").read_text()) for model in MODELS}
    sizes = {m: sum(p.numel() for p in Backbone(m.split("-")[0]).parameters()) for m in MODELS}
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "accuracies.csv": [
            ["model", *TARGETS, "parameters"],
            *([m, *(f"{np.mean(found[m][0][t]):.6f}" for t in TARGETS), sizes[m]] for m in MODELS),
        ],
        "seeds.csv": [
            ["model", "task", "seed0", "seed1"],
            *([m, t, *(f"{a:.6f}" for a in found[m][0][t])] for m in MODELS for t in TARGETS),
        ],
        "scores.csv": [
            ["model", "task", *METRICS],
            *(
                [m, t, *(f"{found[m][1][t][spec]:.9g}" for spec in METRICS)]
                for m in MODELS
                for t in TARGETS
            ),
        ],
        "groups.csv": [["task", "group"], *([task, group_of(task)] for task in TARGETS)],
    }
    for name, rows in tables.items():
        with (out / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def main() -> None:
    """Read the command line and make the history."""
    parser = argparse.ArgumentParser(description="Make the history of small text networks.")
    parser.add_argument("--out", type=Path, default=HERE / "text_history")
    parser.add_argument("--cache", type=Path, default=HERE / "text_history" / "cache")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument(
        "--quick", action="store_true", help="hardly train: a trial of the script, not a history"
    )
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    arguments.cache.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, spawn) as pool:
        runs = [pool.submit(accuracies, arguments.cache, model, effort) for model in MODELS]
        for run in tqdm(as_completed(runs), desc="models", total=len(runs)):
            run.result()
    write_tables(arguments.cache, arguments.out)


if __name__ == "__main__":
    main()
