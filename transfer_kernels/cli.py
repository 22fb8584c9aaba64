"""The command ``transfer-kernels``: rank, recommend, evaluate, report the backends.

Exit codes: 0 all went well, 1 some model failed, 2 wrong usage or input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import __version__
from .cli_transfers import add_evaluate, add_recommend
from .output_paths import check_picture, check_table

PROGRAM = "transfer-kernels"
OK, SOME_FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: _note(f"warning: {message}")
        try:
            return options.run(options)
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # The reader of our output has left; keep the interpreter from complaining at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        except (ValueError, TypeError, OSError, ImportError) as error:
            _note(f"error: {error}")
            return WRONG_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    from .metrics import METRICS

    for metric in METRICS.values():
        listed = ", ".join(map(str, metric.options.values()))
        print(f"{metric.name}({listed})" if listed else metric.name)
        print(f"    {metric.summary}")
        for name, option in metric.options.items():
            if option.choices:
                print(f"    {name}: {', '.join(map(str, option.choices))}")
        print(f"    {'; '.join(filter(None, [', '.join(metric.tasks), metric.paper]))}")
    return OK


# ---------------------------------------------------------------------------- info


def _add_info(commands: Any) -> None:
    info = commands.add_parser("info", help="report the backends and versions that are in use here")
    info.set_defaults(run=_info)


def _info(options: argparse.Namespace) -> int:
    from .backends import describe_backends

    print(describe_backends())
    return OK


# ---------------------------------------------------------------------------- rank


def _add_rank(commands: Any) -> None:
    rank = commands.add_parser(
        "rank",
        help="rank the models whose features lie in a folder",
        description=(
            "Rank the models whose features lie in DIR, one .npy, .npz, .safetensors or .pt file "
            "each, named after the model. Every finished score is kept at once: the same command "
            "goes on where an interrupted one stopped."
        ),
    )
    rank.set_defaults(run=_rank)
    add = rank.add_argument
    add("folder", metavar="DIR", type=Path, help="folder with one file of features per model")
    add(
        "--labels",
        metavar="F",
        type=Path,
        help=".npy, .npz, .csv, .txt or .json; default: DIR/labels.*, else the labels inside the "
        "feature files",
    )
    add(
        "--metric",
        metavar="M",
        action="append",
        dest="metrics",
        help='such as sfda or "parc(n_components=32)"; may be repeated; the first orders the '
        "table; default: sfda, logme, parc",
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
    add("--jobs", metavar="N", type=int, default=1, help="worker processes (default 1)")
    add("--backend", metavar="B", help="force a backend (see `transfer-kernels info`)")
    add("--device", metavar="D", help="score on this device, such as cuda (default: the CPU)")
    add("--fresh", action="store_true", help="score anew what an earlier run has finished")


def _rank(options: argparse.Namespace) -> int:
    from .feature_files import find_features
    from .metrics import DEFAULT_METRICS
    from .ranking import rank
    from .score_files import Journal
    from .target_files import find_companion, read_labels, read_layers, read_truth

    check_table(options.out)
    check_picture(options.plot)
    folder = options.folder
    labels_path = options.labels or find_companion(folder, "labels")
    truth_path = options.truth or find_companion(folder, "truth")
    zoo = find_features(folder, exclude=[p for p in (labels_path,) if p])
    labels = read_labels(labels_path) if labels_path else None
    truth = read_truth(truth_path) if truth_path else None
    layers = read_layers(options.layers) if options.layers else None

    path = _journal_path(options)
    journal = Journal(path) if path else None
    if journal and options.fresh:
        journal.clear()
    try:
        ranking = rank(
            zoo,
            labels,
            options.metrics or DEFAULT_METRICS,
            order_by=options.order_by,
            layers=layers,
            backend=options.backend,
            device=options.device,
            n_jobs=options.jobs,
            journal=journal,
        )
    except KeyboardInterrupt:
        kept = f"finished scores are kept in {path}; the same command goes on from there"
        _note(f"interrupted; {kept}" if path else "interrupted")
        return INTERRUPTED
    if journal and journal.reused:
        n_scores = len(ranking) * len(ranking.metrics)
        _note(f"{journal.reused} of {n_scores} scores are from {path} (--fresh scores them anew)")
    _raise_if_all_failed_alike(ranking)

    if options.out:
        (ranking.to_csv if options.out.suffix == ".csv" else ranking.to_json)(options.out)
    try:
        print(ranking)
        if truth and truth_path:
            print(f"\n{_comparison(ranking, truth, truth_path.name)}")
        sys.stdout.flush()
    finally:  # the picture is written even if nobody reads the table to its end
        if options.plot:
            from .plots import save_figure

            save_figure(ranking.plot(truth.accuracy if truth else None), options.plot)
    return SOME_FAILED if ranking.errors else OK


def _journal_path(options: argparse.Namespace) -> Path | None:
    """Beside the output, else in the user's cache; None if that cannot be written."""
    if options.out:
        return options.out.with_name(f"{options.out.name}.journal")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "transfer_kernels"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    name = hashlib.blake2b(str(options.folder.resolve()).encode(), digest_size=8).hexdigest()
    return cache / f"{name}.journal" if os.access(cache, os.W_OK) else None


def _raise_if_all_failed_alike(ranking: Any) -> None:
    messages = set(ranking.errors.values())
    no_score = all(len(ranking.ranks(metric)) == 0 for metric in ranking.metrics)
    if no_score and len(messages) == 1:
        raise ValueError(f"every model failed: {messages.pop()}")


def _comparison(ranking: Any, truth: Any, file: str) -> str:
    """Return the table of how well every column, and the control, predicts the truth."""
    from .evaluation import evaluate, evaluation_table

    known = {row.name: truth.accuracy[row.name] for row in ranking if row.name in truth.accuracy}
    unknown = [row.name for row in ranking if row.name not in known]
    if unknown:
        _note(f"{file} lacks {', '.join(unknown)}; left out of the comparison")
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


def _note(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr)
