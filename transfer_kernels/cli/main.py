"""The command ``transfer-kernels``: rank, recommend, evaluate, report the backends.

Exit codes: 0 all went well, 1 some model failed, 2 wrong usage or input, or a result could not be
written, 130 interrupted. A reader that leaves before the end of the output, as ``head`` does,
changes none of them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..text.quoting import plain, several
from ..text.terminal import PROGRAM, deliver, described, note, say, tolerant_streams, usage
from .output_paths import check_picture, check_table
from .transfers import add_evaluate, add_recommend

#: Options of `rank` that name a picture.
PICTURES = ("--plot", "--plot-ranks", "--plot-agreement")

OK, SOME_FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    with tolerant_streams(), warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: note(f"warning: {message}")
        try:
            options = _parser().parse_args(arguments)
            return options.run(options)
        except KeyboardInterrupt:
            return INTERRUPTED
        except (ValueError, TypeError, OSError, ImportError, RuntimeError, MemoryError) as error:
            note(f"error: {described(error)}")
            return WRONG_INPUT


class _Parser(argparse.ArgumentParser):
    """argparse's, but that what it says passes through `terminal`."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            usage(message, sys.stderr if file is None else file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM, description="Transferability metrics: which model will fine-tune best?"
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_rank(commands)
    add_recommend(commands)
    add_evaluate(commands)
    _add_metrics(commands)
    _add_info(commands)
    return parser


# ---------------------------------------------------------------------------- metrics


def _add_metrics(commands: Any) -> None:
    metrics = commands.add_parser("metrics", help="list the metrics with their options")
    metrics.set_defaults(run=_metrics)


def _metrics(options: argparse.Namespace) -> int:
    from ..inputs.model_outputs import INPUTS
    from ..metrics import METRICS

    for metric in METRICS.values():
        listed = ", ".join(map(str, metric.options.values()))
        print(f"{metric.name}({listed})" if listed else metric.name)
        print(f"    {metric.summary}")
        for name, option in metric.options.items():
            if option.choices:
                print(f"    {name}: {', '.join(map(str, option.choices))}")
        needs = ", ".join(name for name in INPUTS if name in metric.needs)
        scope = "compares models" if metric.parts else ""
        needed = f"needs {needs}" if needs != "features" else ""
        known = [", ".join(metric.tasks), needed, scope, metric.paper]
        print(f"    {'; '.join(filter(None, known))}")
    return OK


# ---------------------------------------------------------------------------- info


def _add_info(commands: Any) -> None:
    info = commands.add_parser("info", help="report the backends and versions that are in use here")
    info.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> int:
    from ..ops.backends import describe_backends

    say(describe_backends())
    return OK


# ---------------------------------------------------------------------------- rank


def _add_rank(commands: Any) -> None:
    from ..inputs.model_outputs import TARGET_INPUTS

    rank = commands.add_parser(
        "rank",
        help="rank the models whose features lie in a folder",
        description=(
            "Rank the models whose features lie in DIR or below it, one .npy, .npz, .safetensors, "
            ".pt or .pth file each, named after the model; or as MODEL_DATASET_feature.npy beside "
            "MODEL_DATASET_label.npy. Every finished score is kept at once: the same command goes "
            "on where an interrupted one stopped."
        ),
    )
    rank.set_defaults(run=_rank)
    add = rank.add_argument
    add("folder", metavar="DIR", type=Path, help="folder with one file of features per model")
    add(
        "--labels",
        metavar="F",
        type=Path,
        help=".npy, .npz, .safetensors, .pt, .csv, .txt or .json; default: DIR/labels.*, else the "
        "labels inside the feature files or beside them",
    )
    add(
        "--ignore-label",
        metavar="VALUE",
        help="leave out the samples with this label, such as -1; nan stands for missing labels",
    )
    add(
        "--dataset",
        metavar="NAME",
        help="the data set to rank for, where the files are named MODEL_DATASET_feature; and the "
        "column of true accuracies, where the table has one for each data set",
    )
    add(
        "--metric",
        metavar="M",
        action="append",
        dest="metrics",
        help='such as sfda or "parc(n_components=32)"; may be repeated; the first orders the '
        "table; all stands for every metric that is defined for what is there, and orders by "
        "consensus; default: sfda, logme, parc",
    )
    for name, named in TARGET_INPUTS.items():
        add(
            f"--{name.replace('_', '-')}",
            metavar="F",
            type=Path,
            help=f"{named.summary}: .npy, .npz, .safetensors or .pt; for metrics that need them",
        )
    add(
        "--truth",
        metavar="F",
        type=Path,
        help="true accuracies (.csv with columns model, accuracy, or .json), to show how well "
        "each metric predicts them; default: DIR/truth.csv if there is one",
    )
    add(
        "--layers",
        metavar="F",
        type=Path,
        help="numbers of layers (.csv with columns model, layers, or .json): also rank by the "
        "standardised score + layers/50, which then orders the table",
    )
    add("--order-by", metavar="COLUMN", help="order the table by another metric or by consensus")
    add("--out", metavar="F", type=Path, help="write the scores to a .csv or .json file")
    add("--plot", metavar="F", type=Path, help="write a .png, .pdf or .svg picture")
    add(
        "--plot-ranks",
        metavar="F",
        type=Path,
        help="write a picture of the models' ranks by every metric",
    )
    add(
        "--plot-agreement",
        metavar="F",
        type=Path,
        help="write a picture of the rank correlations between the metrics",
    )
    add("--jobs", metavar="N", type=int, default=1, help="worker processes (default 1)")
    add("--backend", metavar="B", help="force a backend (see `transfer-kernels info`)")
    add("--device", metavar="D", help="score on this device, such as cuda (default: the CPU)")
    add("--fresh", action="store_true", help="score anew what an earlier run has finished")


def _rank(options: argparse.Namespace) -> int:
    from ..files.feature_files import read_target_input
    from ..files.score_files import Journal
    from ..files.target_files import find_companion, read_layers, read_truth
    from ..files.zoo_folders import scan_folder
    from ..inputs.model_outputs import TARGET_INPUTS
    from ..metrics import DEFAULT_METRICS
    from ..zoo.ranking import rank

    check_table(options.out)
    pictures = (options.plot, options.plot_ranks, options.plot_agreement)
    for picture, option in zip(pictures, PICTURES, strict=True):
        check_picture(picture, option)
    folder = options.folder
    labels_path = options.labels or find_companion(folder, "labels")
    truth_path = options.truth or find_companion(folder, "truth")
    of_target = {n: path for n in TARGET_INPUTS if (path := getattr(options, n)) is not None}
    beside = (labels_path, truth_path, options.layers, options.out, *pictures)
    given = (*beside, *of_target.values())
    found = scan_folder(folder, [path for path in given if path], options.dataset)
    if options.dataset is not None and not (found.by_dataset or truth_path):
        raise ValueError(
            f"--dataset {options.dataset}: no file is named MODEL_DATASET_feature, with a "
            "MODEL_DATASET_label beside it, so there is none to choose"
        )
    truth = read_truth(truth_path, options.dataset) if truth_path else None
    layers = read_layers(options.layers) if options.layers else None

    path = _journal_path(options)
    try:
        journal = Journal(path) if path else None
    except (ValueError, OSError) as error:
        if options.out:
            raise
        note(f"warning: {described(error)}; an interrupted run cannot be taken up")
        path = journal = None
    if journal and options.fresh:
        journal.clear()
    if passed_over := found.note():
        note(passed_over)
    try:
        ranking = rank(
            found.models,
            labels_path,
            options.metrics or DEFAULT_METRICS,
            order_by=options.order_by,
            layers=layers,
            backend=options.backend,
            device=options.device,
            n_jobs=options.jobs,
            journal=journal,
            ignore_label=_label(options.ignore_label, labels_path),
            **{name: read_target_input(path, name) for name, path in of_target.items()},
        )
    except KeyboardInterrupt:
        kept = f"finished scores are kept in {path}; the same command goes on from there"
        note(f"interrupted; {kept}" if path else "interrupted")
        return INTERRUPTED
    if journal and journal.reused:
        n_scores = len(ranking) * len(ranking.metrics)
        note(f"{journal.reused} of {n_scores} scores are from {path} (--fresh scores them anew)")
    _raise_if_all_failed_alike(ranking)

    out = options.out
    accuracies = truth.accuracy if truth else None
    draw = (lambda: ranking.plot(accuracies), ranking.plot_ranks, ranking.plot_agreement)
    steps: list[Callable[[], None]] = [lambda: say(str(ranking))]
    if truth and truth_path:
        name = plain(truth_path.name)
        steps.append(lambda: say(f"\n{_comparison(ranking, truth, name)}"))
    if out:
        steps.append(lambda: (ranking.to_csv if out.suffix == ".csv" else ranking.to_json)(out))
    for picture, path in zip(draw, pictures, strict=True):
        if path:
            steps.append(partial(_draw, picture, path))
    deliver(*steps)
    return SOME_FAILED if ranking.errors else OK


def _label(text: str | None, labels_path: Path | None) -> Any:
    """The value that a label was written as: a number if it is one, unless labels are texts."""
    from ..files.target_files import read_labels

    if text is None:
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if "_" in text:  # Python reads 1_0 as 10
            break
        if number != number or labels_path is None:
            return number
        labels = read_labels(labels_path, keep_missing=True).ravel().tolist()
        return text if all(isinstance(label, str | None) for label in labels) else number
    return text


def _journal_path(options: argparse.Namespace) -> Path | None:
    """Beside the output, else in the user's cache; None if that cannot be written."""
    if options.out:
        return options.out.with_name(f"{options.out.name}.journal")
    cache = _cache_folder()
    if cache is None:
        return None
    name = hashlib.blake2b(os.fsencode(options.folder.resolve()), digest_size=8).hexdigest()
    return cache / f"{name}.journal"


def _cache_folder() -> Path | None:
    """Folder of the user's cache, made if need be; None where there is no home or no room."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no HOME, and the user is in no list, as in containers
        return None
    if not base.is_absolute():  # the standard says to pass such a value over
        return None
    cache = base / "transfer_kernels"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return cache if os.access(cache, os.W_OK) else None


def _draw(picture: Callable[[], Any], path: Path) -> None:
    from ..display.figures import save_figure

    save_figure(picture(), path)


def _raise_if_all_failed_alike(ranking: Any) -> None:
    messages = set(ranking.errors.values())
    no_score = all(len(ranking.ranks(metric)) == 0 for metric in ranking.metrics)
    if no_score and len(messages) == 1:
        raise ValueError(f"every model failed: {messages.pop()}")


def _comparison(ranking: Any, truth: Any, file: str) -> str:
    """Return the table of how well every column, and the control, predicts the truth."""
    from ..evaluation.measures import evaluate, evaluation_table

    known = {row.name: truth.accuracy[row.name] for row in ranking if row.name in truth.accuracy}
    unknown = [row.name for row in ranking if row.name not in known]
    if unknown:
        names = several(unknown, 20, quoted=False)
        note(f"{file} lacks {names}; left out of the comparison")
    candidates = {column: ranking.column(column) for column in ranking.columns}
    if truth.parameters:
        candidates["parameter count (control)"] = truth.parameters
    compared = {}
    for name, scores in candidates.items():
        shared = {model: scores.get(model, float("nan")) for model in known}
        if sum(score == score for score in shared.values()) > 1:
            compared[name] = evaluate(shared, known)
    if not compared:
        return f"{file}: fewer than two models with a score have a true accuracy"
    return f"Prediction of {file}, {len(known)} models\n{evaluation_table(compared)}"
