"""Make the transfer history: what many small models reached on many tasks after fine-tuning.

    python examples/make_transfer_history.py [--out DIR] [--cache DIR] [--jobs N] [--quick]
    python examples/make_transfer_history.py --features-only    # minutes: the table is here

The models are of the example zoo (`make_digits_zoo`), pre-trained as there; the tasks are in
`history_tasks`. The table of accuracies is small and goes to `--out`; the pre-trained weights and
the features of every model on every task go to `--cache`. Every finished piece is kept there, so
that a run that was stopped goes on where it was. One thread a process, from fixed seeds.
"""

import argparse
import csv
import json
import multiprocessing
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path

import numpy as np
import safetensors.torch
import skimage
import sklearn
import torch
from history_tasks import TARGETS, TEST_IMAGES, TRAIN_IMAGES, UNSEEN, target_task
from make_digits_zoo import (
    FINE_TUNING,
    NO_SOURCE,
    SEED,
    Effort,
    Model,
    count_layers,
    count_parameters,
    fine_tune,
    outputs,
    pretrain,
    wrapped,
)
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm
from zoo_networks import NETWORKS
from zoo_tasks import Task, source_task

HERE = Path(__file__).parent
MODELS = [
    Model("mlp_narrow", "photographs"),
    Model("mlp_narrow", "exemplars"),
    Model("mlp_deep", "edges"),
    Model("mlp_deep", "shuffled"),
    Model("mlp_wide", NO_SOURCE),
    Model("mlp_wide", "print"),
    Model("mlp_wide", "textures"),
    Model("cnn_small", NO_SOURCE),
    Model("cnn_small", "rotation"),
    Model("cnn_small", "exemplars"),
    Model("cnn_wide", "print"),
    Model("cnn_wide", "corruption"),
    Model("resnet_small", "photographs"),
    Model("resnet_small", "jigsaw"),
    Model("mobilenet_small", "print"),
    Model("mobilenet_small", "textures"),
    Model("mobilenet_wide", "edges"),
    Model("vit_tiny", "jigsaw"),
    Model("vit_tiny", "exemplars"),
]
# Not a candidate: sees every task in the place of a large general model.
PROXY = Model("resnet_deep", "exemplars")

STEPS = 60  # of fine-tuning, on every task
FULL = Effort(source_images=12_000, source_epochs=6, fine_tuning_epochs=0, fine_tuning_seeds=3)
QUICK = Effort(source_images=128, source_epochs=1, fine_tuning_epochs=1, fine_tuning_seeds=2)


def fine_tuning_epochs(task: str, effort: Effort) -> int:
    """Count the passes over a task's labelled images that make `STEPS` steps."""
    return effort.fine_tuning_epochs or STEPS * FINE_TUNING["batch"] // TARGETS[task].labelled


def single_threaded() -> None:
    """Make PyTorch give the same numbers whatever else the machine does."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


@cache
def _source(name: str, n: int) -> Task | None:
    return None if name == NO_SOURCE else source_task(name, n, SEED)


def keep_backbone(directory: Path, model: Model, effort: Effort) -> None:
    """Pre-train a model and write its weights, unless they are there."""
    path = directory / f"{model.name}.safetensors"
    if not path.exists():
        backbone, _ = pretrain(model, _source(model.source, effort.source_images), effort)
        _write(path, lambda part: safetensors.torch.save_file(backbone.state_dict(), part))


def read_backbone(directory: Path, model: Model) -> nn.Module:
    """Return a pre-trained network without its head."""
    backbone = NETWORKS[model.network].build()
    backbone.load_state_dict(safetensors.torch.load_file(directory / f"{model.name}.safetensors"))
    return backbone


def keep_features(cache_directory: Path, task: str) -> None:
    """Write every model's and the proxy's features of a task's training images, and the labels."""
    directory, proxies = cache_directory / "features" / task, cache_directory / "proxies"
    if (directory / "labels.npy").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    proxies.mkdir(exist_ok=True)
    target = target_task(task, SEED)

    def features(model: Model) -> NDArray[np.float32]:
        return outputs(read_backbone(cache_directory / "backbones", model), target.train_images)

    for model in MODELS:
        np.save(directory / f"{model.name}.npy", features(model))
    np.savez(proxies / f"{task}.npz", features=features(PROXY), labels=target.train_labels)
    np.save(directory / "labels.npy", target.train_labels)


def accuracy_after(
    cache_directory: Path, model: Model, task: str, target: Task, run: int, effort: Effort
) -> float:
    """Fine-tune a model on a task with one seed; returns its accuracy on the test images."""
    return fine_tune(
        read_backbone(cache_directory / "backbones", model),
        NETWORKS[model.network].width,
        target,
        fine_tuning_epochs(task, effort),
        SEED + run,
        TARGETS[task].labelled,
    )


def keep_accuracies(cache_directory: Path, task: str, run: int, effort: Effort) -> None:
    """Fine-tune every model on a task with one seed and write the accuracies."""
    path = cache_directory / "accuracies" / f"{task}-{run}.json"
    if path.exists():
        return
    target = target_task(task, SEED)
    reached = {
        model.name: accuracy_after(cache_directory, model, task, target, run, effort)
        for model in MODELS
    }
    _write(path, lambda part: part.write_text(json.dumps(reached, indent=1) + "\n"))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name first, so that what is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    write(part)
    part.replace(path)


def _all_done(pool: ProcessPoolExecutor, what: str, function: Callable, calls: list) -> None:
    runs = [pool.submit(function, *call) for call in calls]
    for run in tqdm(as_completed(runs), desc=what, total=len(runs)):
        run.result()


def make(cache_directory: Path, effort: Effort, jobs: int, features_only: bool = False) -> None:
    """Fill the cache: backbones, features, accuracies; the results do not depend on `jobs`."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn, initializer=single_threaded) as pool:
        backbones = [(cache_directory / "backbones", m, effort) for m in [*MODELS, PROXY]]
        _all_done(pool, "pre-training", keep_backbone, backbones)
        _all_done(pool, "features", keep_features, [(cache_directory, task) for task in TARGETS])
        if features_only:
            return
        transfers = [
            (cache_directory, task, run, effort)
            for run in range(effort.fine_tuning_seeds)
            for task in TARGETS
        ]
        _all_done(pool, "fine-tuning", keep_accuracies, transfers)


def read_accuracies(cache_directory: Path, runs: int) -> NDArray[np.float64]:
    """Return the accuracies of all (models, tasks, seeds)."""
    tables = [
        [
            json.loads((cache_directory / "accuracies" / f"{task}-{run}.json").read_text())
            for run in range(runs)
        ]
        for task in TARGETS
    ]
    return np.array([[[run[m.name] for run in task] for task in tables] for m in MODELS])


def write_tables(directory: Path, accuracies: NDArray[np.float64]) -> None:
    """Write the mean accuracies, those of every seed, and what is known of the tasks, as CSV."""
    runs = range(accuracies.shape[2])
    rows = []
    for model, means in zip(MODELS, accuracies.mean(axis=2), strict=True):
        backbone = NETWORKS[model.network].build()
        size = [count_parameters(backbone), count_layers(backbone)]
        rows.append([model.name, *(f"{a:.6f}" for a in means), *size])
    _write_csv(directory / "accuracies.csv", ["model", *TARGETS, "parameters", "layers"], rows)
    rows = [
        [model.name, task, *(f"{a:.6f}" for a in accuracies[m, t])]
        for m, model in enumerate(MODELS)
        for t, task in enumerate(TARGETS)
    ]
    _write_csv(directory / "seeds.csv", ["model", "task", *(f"seed{run}" for run in runs)], rows)
    rows = [
        [task, target.labelled, target_task(task, SEED).n_classes]
        for task, target in TARGETS.items()
    ]
    _write_csv(directory / "tasks.csv", ["task", "images", "classes"], rows)


def _write_csv(path: Path, header: list[str], rows: list[list]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def readme_lines(accuracies: NDArray[np.float64], effort: Effort) -> Iterator[str]:
    """Describe the history: what it is, how it was made, the models, the tasks, the licences."""
    runs = accuracies.shape[2]
    means = accuracies.mean(axis=2)
    # A draw that is easier for all models alike changes no order.
    relative = accuracies - accuracies.mean(axis=0)
    variance = float(np.mean(relative.var(axis=2, ddof=1)))
    signal = float(np.mean(means.var(axis=0, ddof=1)))
    yield "# A transfer history: small networks on small tasks\n"
    yield wrapped(
        f"True fine-tuned accuracies of {len(MODELS)} networks, pre-trained on tasks made from "
        f"photographs (or on nothing), on {len(TARGETS)} tasks, to learn to recommend models from."
    )
    yield ""
    for text in (
        "`accuracies.csv`: a row for each model, a column for each task, mean over "
        f"{runs} seeds; and the size of each model, without its head (`layers` with it).",
        "`seeds.csv`: the accuracy of every seed.",
        "`tasks.csv`: labelled images that were fine-tuned on, and classes.",
        "`scores.csv`: scores of four metrics of every model's features of every task.",
        "`family.csv`: scores of all metrics that features and labels determine, of the example "
        "zoo too; `family.json` and `family.png`: what they are worth, by `evaluate_family.py`.",
    ):
        yield wrapped(text, "- ")
    yield "\n## How it was made\n"
    yield wrapped(
        "`python examples/make_transfer_history.py` makes it, from fixed seeds: the tables here, "
        "and in `cache/`, which is not committed, the pre-trained weights, the features of every "
        "model on every task (`features/<task>/<model>.npy`, with `labels.npy`) and those of the "
        "proxy (`proxies/<task>.npz`). `python examples/evaluate_history.py` then measures the "
        "recommenders, for which `make_transfer_history.py --features-only`, some three minutes, "
        f"is enough. Made with Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}, scikit-learn {sklearn.__version__}, scikit-image "
        f"{skimage.__version__}; another machine differs by rounding, which training magnifies."
    )
    yield ""
    for text in (
        f"Pre-training: as in [the example zoo](../digits_zoo), {effort.source_images} crops of "
        f"8x8 grey pixels, {effort.source_epochs} epochs.",
        f"Fine-tuning: all layers, {STEPS} steps of {FINE_TUNING['batch']} images, AdamW at "
        f"{FINE_TUNING['learning_rate']}; one recipe for all. A seed draws the labelled images "
        f"(of up to {TRAIN_IMAGES}, whose features the metrics see, with their labels), the head "
        f"and the batches. Accuracy is measured on up to {TEST_IMAGES} other images.",
        "No pixel that a model was pre-trained on is in a task: crops are cut from the fifth of a "
        "photograph that pre-training holds out, or from photographs that it does not use. The "
        "left of each is trained on, the right tested on.",
        f"Proxy: `{PROXY.name}`, which is no candidate, in the place of a large general model.",
        "Noise: over seeds, an accuracy, measured from the mean of all models, has a standard "
        f"deviation of {100 * variance**0.5:.1f} points, the mean of {runs} of "
        f"{100 * (variance / runs) ** 0.5:.1f}; over the models of a task, means "
        f"have one of {100 * signal**0.5:.1f}. So "
        f"{100 * (1 - variance / runs / signal):.0f} % of the variance of the means within a task "
        "is no noise.",
    ):
        yield wrapped(text, "- ")
    yield "\n## Models\n"
    yield "| model | family | pre-trained on | mean accuracy, % | best of a task |"
    yield "| --- | --- | --- | --- | --- |"
    winners = means.argmax(axis=0)
    for m in np.argsort(-means.mean(axis=1)):
        model = MODELS[m]
        yield (
            f"| {model.name} | {NETWORKS[model.network].family} | {model.source} "
            f"| {100 * means[m].mean():.1f} | {np.sum(winners == m)} |"
        )
    yield "\n## Tasks\n"
    yield "Accuracies in per cent; chance is that of the most frequent class.\n"
    yield "| task | what is asked | labelled | chance | worst | median | best | best model |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for t, (name, target) in enumerate(TARGETS.items()):
        labels = target_task(name, SEED).test_labels
        chance, column = np.bincount(labels).max() / len(labels), means[:, t]
        spread = [chance, column.min(), np.median(column), column.max()]
        yield (
            f"| {name} | {target.question} | {target.labelled} | "
            + " | ".join(f"{100 * value:.1f}" for value in spread)
            + f" | {MODELS[winners[t]].name} |"
        )
    yield "\n## Images\n"
    yield wrapped(
        "Those of [the example zoo](../digits_zoo), credited there, and, as scikit-image states:"
    )
    yield ""
    for name, credit in UNSEEN.items():
        yield f"- {name}: {credit}"


def main() -> None:
    """Read the command line and make the history."""
    parser = argparse.ArgumentParser(description="Make the transfer history of small networks.")
    parser.add_argument("--out", type=Path, default=HERE / "transfer_history")
    parser.add_argument("--cache", type=Path, default=HERE / "transfer_history" / "cache")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: 2)")
    parser.add_argument(
        "--quick", action="store_true", help="hardly train: a trial of the script, not a history"
    )
    parser.add_argument(
        "--features-only",
        action="store_true",
        help="pre-train and keep the features, which is all that `evaluate_history.py` needs "
        "beside the tables; fine-tune nothing and leave the tables as they are",
    )
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    make(arguments.cache, effort, arguments.jobs, arguments.features_only)
    if arguments.features_only:
        return
    accuracies = read_accuracies(arguments.cache, effort.fine_tuning_seeds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_tables(arguments.out, accuracies)
    (arguments.out / "README.md").write_text("\n".join(readme_lines(accuracies, effort)) + "\n")


if __name__ == "__main__":
    main()
