"""Make the example zoo: pre-train small networks on photographs, transfer them to digits.

    python examples/make_digits_zoo.py [--out DIR] [--jobs N] [--quick]

For each model the zoo holds what a transferability metric sees (the frozen network's features of
the target's training images) and what it should predict (the accuracy after fine-tuning).
The networks are in `zoo_networks`, the tasks in `zoo_tasks`. Needs PyTorch, scikit-learn,
scikit-image and safetensors; runs on the CPU, each model in one thread, from fixed seeds.
"""

import argparse
import copy
import csv
import multiprocessing
import platform
import textwrap
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import skimage
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import nn
from tqdm import tqdm
from zoo_networks import NETWORKS, count_layers, count_parameters, with_head
from zoo_tasks import PHOTOGRAPHS, SOURCES, Task, digits_task, source_task

SEED = 0
NO_SOURCE = "none"  # the network as it was drawn
ZOO = {
    "mlp_narrow": [NO_SOURCE, "photographs", "exemplars"],
    "mlp_deep": ["edges", "shuffled"],
    "mlp_wide": [NO_SOURCE, "print", "textures"],
    "cnn_small": [NO_SOURCE, "rotation", "exemplars"],
    "cnn_wide": ["print", "corruption"],
    "resnet_small": [NO_SOURCE, "photographs", "jigsaw", "shuffled"],
    "resnet_deep": ["exemplars", "corruption"],
    "mobilenet_small": [NO_SOURCE, "print", "textures"],
    "mobilenet_wide": ["photographs", "edges"],
    "vit_tiny": [NO_SOURCE, "jigsaw", "exemplars"],
    "vit_small": ["shuffled", "photographs", "print"],
}

PRETRAINING = {"batch": 64, "learning_rate": 2e-3}
FINE_TUNING = {"batch": 20, "learning_rate": 2e-3}
LABELLED = 200  # images of the target to fine-tune on, as many of each class

# Zoos come in several formats; so does this one.
SUFFIXES = {"mobilenet_small": ".npz", "vit_small": ".safetensors"}
HALF_PRECISION_FROM = 40  # features of at least this length are stored as float16


@dataclass(frozen=True)
class Effort:
    """How much is computed: images and passes in pre-training, passes and runs in fine-tuning."""

    source_images: int
    source_epochs: int
    fine_tuning_epochs: int
    fine_tuning_seeds: int


FULL = Effort(source_images=12_000, source_epochs=6, fine_tuning_epochs=25, fine_tuning_seeds=5)
QUICK = Effort(source_images=128, source_epochs=1, fine_tuning_epochs=1, fine_tuning_seeds=2)


@dataclass(frozen=True)
class Model:
    """One model of the zoo: a network of `NETWORKS` and the source that it is trained on."""

    network: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.network}-{self.source}"

    @property
    def seed(self) -> int:
        return SEED + zlib.crc32(self.name.encode())


@dataclass(frozen=True)
class Transfer:
    """What is known of a model when it has been transferred to the target.

    Attributes
    ----------
    model : Model
    features : ndarray of float32, shape (n, d)
        Penultimate features of the target's training images, before any fine-tuning.
    accuracies : list of float
        Accuracy on the target's test images after fine-tuning, one for each seed.
    source_accuracy : float
        Accuracy on the source's test images, NaN without a source.
    parameters, layers : int
        Size of the network.
    """

    model: Model
    features: NDArray[np.float32]
    accuracies: list[float]
    source_accuracy: float
    parameters: int
    layers: int


def train(
    network: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    epochs: int,
    batch: int,
    learning_rate: float,
) -> None:
    """Train all layers in place with AdamW and a one-cycle schedule, by cross-entropy."""
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    steps = epochs * (len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))[: len(x) // batch * batch]
        for chosen in order.split(batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimiser.step()
            schedule.step()


@torch.no_grad()
def outputs(network: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network, in evaluation mode, on images (n, 1, 8, 8)."""
    network.eval()
    return network(torch.from_numpy(images)).numpy()


def test_accuracy(network: nn.Module, task: Task) -> float:
    """Measure the share of a task's test images that a network puts into the right class."""
    return float(np.mean(outputs(network, task.test_images).argmax(1) == task.test_labels))


def pretrain(model: Model, source: Task | None, effort: Effort) -> tuple[nn.Module, float]:
    """Draw a network and train it on its source.

    Returns
    -------
    backbone : torch.nn.Module
        The network without its head.
    source_accuracy : float
        Accuracy on the source's test images, NaN without a source.
    """
    torch.manual_seed(model.seed)
    architecture = NETWORKS[model.network]
    backbone = architecture.build()
    if source is None:
        return backbone, float("nan")
    network = with_head(backbone, architecture.width, source.n_classes)
    train(network, source.train_images, source.train_labels, effort.source_epochs, **PRETRAINING)
    return backbone, test_accuracy(network, source)


def fine_tune(
    backbone: nn.Module,
    width: int,
    target: Task,
    epochs: int,
    seed: int,
    n_labelled: int = LABELLED,
) -> float:
    """Fine-tune a copy of a backbone under a new head, and measure its accuracy on the target.

    The seed draws the labelled images, the head and the order of the batches.
    """
    labelled, _ = train_test_split(
        np.arange(len(target.train_labels)),
        train_size=n_labelled,
        stratify=target.train_labels,
        random_state=seed,
    )
    torch.manual_seed(seed)
    network = with_head(copy.deepcopy(backbone), width, target.n_classes)
    images, labels = target.train_images[labelled], target.train_labels[labelled]
    train(network, images, labels, epochs, **FINE_TUNING)
    return test_accuracy(network, target)


def transfer(model: Model, source: Task | None, target: Task, effort: Effort) -> Transfer:
    """Pre-train one model, extract its features of the target, and fine-tune it there."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    backbone, source_accuracy = pretrain(model, source, effort)
    width = NETWORKS[model.network].width
    return Transfer(
        model=model,
        features=outputs(backbone, target.train_images),
        accuracies=[
            fine_tune(backbone, width, target, effort.fine_tuning_epochs, SEED + run)
            for run in range(effort.fine_tuning_seeds)
        ],
        source_accuracy=source_accuracy,
        parameters=count_parameters(backbone),
        layers=count_layers(backbone),
    )


def transfer_all(models: list[Model], target: Task, effort: Effort, jobs: int) -> list[Transfer]:
    """Transfer every model to a target, `jobs` at a time; the results do not depend on `jobs`."""
    sources: dict[str, Task | None] = {
        name: source_task(name, effort.source_images, SEED)
        for name in tqdm(SOURCES, desc="source tasks")
    }
    sources[NO_SOURCE] = None
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = [pool.submit(transfer, m, sources[m.source], target, effort) for m in models]
        return [run.result() for run in tqdm(runs, desc="models")]


def write_features(directory: Path, transferred: Transfer) -> None:
    """Write a model's features as a file of its name, in the format of `SUFFIXES`."""
    features = transferred.features
    if features.shape[1] >= HALF_PRECISION_FROM:
        features = features.astype(np.float16)
    suffix = SUFFIXES.get(transferred.model.network, ".npy")
    path = directory / f"{transferred.model.name}{suffix}"
    if suffix == ".npy":
        np.save(path, features)
    elif suffix == ".npz":
        np.savez(path, features=features)
    else:
        path.write_bytes(safetensors.numpy.save({"features": features}))


def write_truth(path: Path, zoo: list[Transfer]) -> None:
    """Write the fine-tuned accuracies and the sizes of all models as a CSV table."""
    runs = range(len(zoo[0].accuracies))
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["model", "accuracy", *(f"accuracy_seed{run}" for run in runs)]
            + ["parameters", "layers", "architecture", "source"]
        )
        for t in zoo:
            accuracies = [f"{a:.6f}" for a in [np.mean(t.accuracies), *t.accuracies]]
            family = NETWORKS[t.model.network].family
            table.writerow(
                [t.model.name, *accuracies, t.parameters, t.layers, family, t.model.source]
            )


def wrapped(text: str, bullet: str = "") -> str:
    """Break a paragraph of a README into lines."""
    return textwrap.fill(
        text,
        width=100,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def readme_lines(zoo: list[Transfer], effort: Effort) -> Iterator[str]:
    """Describe the zoo: what it is, how it was made, the models, the licences."""
    runs = len(zoo[0].accuracies)
    noise = 100 * np.sqrt(np.mean([np.var(t.accuracies, ddof=1) for t in zoo]))
    n = len(zoo[0].features)

    yield "# A zoo of small networks, and how well each learns scikit-learn's digits\n"
    yield wrapped(
        f"{len(zoo)} networks, pre-trained on tasks made from real photographs (or on nothing), "
        "their features of handwritten digits, and their accuracy there after fine-tuning."
    )
    yield "\n    transfer-kernels rank examples/digits_zoo\n"
    for text in (
        f"`<model>.npy`, `.npz`, `.safetensors`: features (n = {n}, d) of the frozen network, "
        "under the key `features` where the format has keys; float16 where d >= "
        f"{HALF_PRECISION_FROM}, else float32.",
        f"`labels.npy`: classes of the {n} digits, int64.",
        "`truth.csv`: accuracy after fine-tuning (mean, then each seed), size, family, source. "
        "`layers` counts convolutions and linear layers with the head; `parameters` leaves the "
        "head out.",
    ):
        yield wrapped(text, "- ")

    yield "\n## How it was made\n"
    yield wrapped(
        f"`python examples/make_digits_zoo.py`, seed {SEED}, with Python "
        f"{platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
        f"scikit-learn {sklearn.__version__}, scikit-image {skimage.__version__}. One machine "
        "gives the same files every time; another differs by rounding, which training magnifies."
    )
    yield ""
    for text in (
        f"Pre-training: {effort.source_images} crops of 8x8 grey pixels, {effort.source_epochs} "
        "epochs. Source accuracy is measured on crops of the photographs' lowest fifth, which is "
        "not trained on (`exemplars`: on new distortions of the same fragments).",
        f"Target: 1797 digits, split into {n} to train on, whose features are here, and the rest "
        "to test on.",
        f"Truth: all layers are fine-tuned on {LABELLED} of the {n} images for "
        f"{effort.fine_tuning_epochs} epochs, AdamW at {FINE_TUNING['learning_rate']}, and tested "
        f"on the rest; {runs} seeds draw the labelled images, the head and the batches. One recipe "
        "serves all models, set after trial runs so that the accuracies on these test images spread"
        "; it suits the transformers least.",
        f"Noise: a run's standard deviation over seeds is {noise:.1f} points (pooled over the "
        f"models), that of the mean of {runs} seeds {noise / np.sqrt(runs):.1f}. Models that are "
        "closer than that are ties.",
    ):
        yield wrapped(text, "- ")

    yield "\n## Source tasks\n"
    for name, source in SOURCES.items():
        yield f"- `{name}`: {(source.__doc__ or '').splitlines()[0]}"
    yield f"- `{NO_SOURCE}`: No pre-training, the weights as they were drawn."

    yield "\n## Models, best first\n"
    yield "| model | accuracy, % | ± over seeds | source accuracy, % | d | parameters | layers |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for t in sorted(zoo, key=lambda t: -float(np.mean(t.accuracies))):
        on_source = "" if np.isnan(t.source_accuracy) else f"{100 * t.source_accuracy:.1f}"
        yield (
            f"| {t.model.name} | {100 * np.mean(t.accuracies):.1f} "
            f"| {100 * np.std(t.accuracies, ddof=1):.1f} | {on_source} "
            f"| {t.features.shape[1]} | {t.parameters} | {t.layers} |"
        )

    yield "\n## Images\n"
    yield wrapped(
        "Credits and licences as scikit-image and scikit-learn state them. The zoo holds features, "
        "no image. The digits are part of UCI's Optical Recognition of Handwritten Digits "
        "(E. Alpaydin, C. Kaynak, 1998); scikit-learn states no licence for them, UCI lists "
        "CC BY 4.0."
    )
    yield ""
    for name, credit in PHOTOGRAPHS.items():
        yield f"- {name}: {credit}"


def main() -> None:
    """Read the command line and make the zoo."""
    parser = argparse.ArgumentParser(description="Make the example zoo of small networks.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "digits_zoo")
    parser.add_argument("--jobs", type=int, default=2, help="models made at a time (default: 2)")
    parser.add_argument(
        "--quick", action="store_true", help="hardly train: a trial of the script, not a zoo"
    )
    arguments = parser.parse_args()

    effort = QUICK if arguments.quick else FULL
    models = [Model(network, source) for network, sources in ZOO.items() for source in sources]
    target = digits_task(SEED)
    zoo = transfer_all(models, target, effort, arguments.jobs)

    arguments.out.mkdir(parents=True, exist_ok=True)
    for transferred in zoo:
        write_features(arguments.out, transferred)
    np.save(arguments.out / "labels.npy", target.train_labels)
    write_truth(arguments.out / "truth.csv", zoo)
    (arguments.out / "README.md").write_text("\n".join(readme_lines(zoo, effort)) + "\n")


if __name__ == "__main__":
    main()
