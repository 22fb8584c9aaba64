"""The commands that learn from past transfers: ``recommend`` and ``evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..text.quoting import plain, several
from ..text.terminal import deliver, say
from .output_paths import check_picture, check_table
from .without_proxies import (
    add_scores_option,
    add_told_options,
    completion_report,
    mean_rank_scores,
    offered,
    read_groups,
    read_scores,
    told_search,
)

OK = 0

_TABLE = (
    "a transfer table: .csv with a column 'model' and one for each task, empty cells where the "
    "performance is not known, and 'parameters' and 'layers' where they are known; or with the "
    "columns 'model', 'task', 'performance'"
)


def add_recommend(commands: Any) -> None:
    """Add ``transfer-kernels recommend``."""
    command = commands.add_parser(
        "recommend",
        help="recommend models for a new task from past transfers",
        description=(
            "Learn from past transfers which models suit which tasks, and recommend models for a "
            "new task: by Fennec from the features that one large model, the proxy, has of some of "
            "its unlabelled images; by Model Spider from labelled ones; by Completion, which needs "
            "no proxy, from what a few models reached on the new task, or their scores there, and "
            "it tells which model to run next; or by the mean rank."
        ),
    )
    command.set_defaults(run=_recommend)
    add = command.add_argument
    add("history", metavar="HISTORY", type=Path, help=f"{_TABLE}. Or a folder written by --save")
    add("--task", metavar="F", type=Path, help="the proxy's features of the new task, one file")
    add(
        "--recommender",
        choices=("fennec", "spider", "completion", "mean-rank"),
        help="default: fennec with --proxies, completion without",
    )
    add_told_options(command)
    add_scores_option(command)
    add("-k", metavar="K", type=int, help="how many models to recommend; default: all")
    add("--images", metavar="N", type=float, help="images of the new task, for the meta phase")
    add("--classes", metavar="N", type=float, help="classes of the new task, for the meta phase")
    _add_sources(command)
    _add_fennec_options(command)
    add("--seed", metavar="N", type=int, default=2023, help="default: 2023")
    add("--save", metavar="DIR", type=Path, help="keep what was learnt in this folder")
    add("--out", metavar="F", type=Path, help="write the scores to a .csv or .json file")


def add_evaluate(commands: Any) -> None:
    """Add ``transfer-kernels evaluate``."""
    command = commands.add_parser(
        "evaluate",
        help="how well recommenders predict a transfer table, one task left out at a time",
        description=(
            "Rank the models for every task of TABLE as if it were new and compare with the truth. "
            "The controls (mean rank on the other tasks, parameter count, random) are always "
            "there; Fennec joins them with --proxies, metrics with --features and --metric, "
            "metrics, Completion and the stacked ranker with --scores, and what --recommender "
            "names in any case."
        ),
    )
    command.set_defaults(run=_evaluate)
    add = command.add_argument
    add("table", metavar="TABLE", type=Path, help=_TABLE)
    _add_sources(command)
    _add_fennec_options(command)
    add(
        "-k",
        metavar="K",
        type=int,
        action="append",
        help="the k of recall@k, rel@k and regret@k; may be repeated; default: 1 and 3",
    )
    add(
        "--recommender",
        choices=("fennec", "spider", "completion", "stacked"),
        action="append",
        dest="recommenders",
        help="compare this one too; may be repeated",
    )
    add_scores_option(command)
    add(
        "--groups",
        metavar="F",
        type=Path,
        help=".csv with the columns 'task' and 'group': whole groups are held out, and drawn whole "
        "for the intervals",
    )
    add(
        "--clusters",
        metavar="F",
        type=Path,
        help="the same for the intervals alone: tasks of one source are no independent evidence",
    )
    add(
        "--against",
        metavar="ROW",
        default=None,
        help="show differences to this row; default: the mean rank",
    )
    add("--seed", metavar="N", type=int, default=0, help="of the bootstrap; default: 0")
    add("--out", metavar="F", type=Path, help="write all figures to a .csv or .json file")
    add("--plot", metavar="F", type=Path, help="write a .png, .pdf or .svg picture")


def _add_sources(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--proxies",
        metavar="DIR",
        type=Path,
        help="the proxy's features of the past tasks, one file named after each",
    )
    add(
        "--features",
        metavar="DIR",
        type=Path,
        help="the models' features of the past tasks: for each task a folder as `rank` takes it",
    )
    add(
        "--metric",
        metavar="M",
        action="append",
        dest="metrics",
        help="with --features: score the features by this metric; as evaluate's row by default "
        "fda_score; Fennec learns from the table unless this is given",
    )
    add(
        "--task-table",
        metavar="F",
        type=Path,
        help=".csv with a column 'task' and those of 'images' and 'classes', for the meta phase",
    )
    add(
        "--performance",
        metavar="COLUMN",
        help="the column of a table of one transfer a line that holds the performances, where it "
        "is not called performance, accuracy or oracle",
    )
    add(
        "--fact",
        metavar="COLUMN",
        action="append",
        dest="facts",
        help="a column that is no task; may be repeated; default: parameters, layers",
    )


def _add_fennec_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add(
        "--factors",
        metavar="N",
        type=int,
        help="dimensions of the transfer space; default: 5, or as many as the table allows",
    )
    add(
        "--meta-weight",
        metavar="W",
        type=float,
        help="weight of the meta phase, 0 to 1; default: 0.5 where the table tells parameters or "
        "layers of all models, else 0",
    )
    add("--regressor", choices=("forest", "ridge"), default="forest", help="default: forest")
    add("--scaling", choices=("none", "unit", "rank"), default="none", help="default: none")


# ---------------------------------------------------------------------------- recommend


def _recommend(options: argparse.Namespace) -> int:
    check_table(options.out)
    kind = _kind(options)
    if kind == "mean-rank":
        scores = mean_rank_scores(_read_history(options.history, options))
        k = len(scores) if options.k is None else options.k
        _deliver_scores(dict(list(scores.items())[:k]), options)
        return OK
    if kind == "completion":
        return _recommend_by_completion(options)
    if options.task is None and options.save is None:
        raise ValueError("give the new task's proxy features with --task, or --save")
    if options.told:
        raise ValueError("--told is for --recommender completion")
    if kind == "spider":
        return _recommend_by_spider(options)
    fennec = _loaded_or_fitted(options)
    steps: list[Callable[[], None]] = []
    if options.save:
        steps.append(lambda: fennec.save(options.save))
    if options.task:
        steps.append(lambda: _recommend_for(options.task, fennec, options))
    deliver(*steps)
    return OK


def _kind(options: argparse.Namespace) -> str:
    """Which recommender is meant, where none is named: that of the folder, or of the options."""
    if options.recommender is not None:
        return str(options.recommender)
    if options.history.is_dir():
        kept = (options.history / "completion.json").exists()
        return "completion" if kept and not (options.history / "fennec.json").exists() else "fennec"
    return "fennec" if options.proxies is not None or options.task is not None else "completion"


def _recommend_by_completion(options: argparse.Namespace) -> int:
    from ..recommend.completion import Completion

    if options.history.is_dir():
        completion = Completion.load(options.history)
    else:
        scores = None if options.scores is None else read_scores(options.scores)
        completion = Completion().fit(_read_history(options.history, options), scores)
    steps: list[Callable[[], None]] = []
    if options.save:
        steps.append(lambda: completion.save(options.save))
    else:
        text, best = completion_report(told_search(completion, options.told), options.k)
        steps.append(lambda: say(text))
        if options.out:
            steps.append(lambda: _write_scores(options.out, best))
    deliver(*steps)
    return OK


def _recommend_by_spider(options: argparse.Namespace) -> int:
    from ..files.feature_files import read_features
    from ..recommend.model_spider.model_spider import ModelSpider

    if options.history.is_dir():
        spider = ModelSpider.load(options.history)
    else:
        if options.proxies is None:
            raise ValueError("give the proxy's labelled features of the past tasks with --proxies")
        spider = ModelSpider(seed=options.seed).fit(_read_history(options.history, options))
    steps: list[Callable[[], None]] = []
    if options.save:
        steps.append(lambda: spider.save(options.save))
    if options.task:
        found = read_features(options.task, mapped=False)
        if found.labels is None:
            raise ValueError(
                "--task: Model Spider needs labels beside the features; give a .npz file of both"
            )
        scores = spider.recommend((found.features, found.labels), options.k)
        steps.append(lambda: _deliver_scores(scores, options))
    deliver(*steps)
    return OK


def _recommend_for(task: Path, fennec: Any, options: argparse.Namespace) -> None:
    from ..files.feature_files import read_features

    given = {"images": options.images, "classes": options.classes}
    facts = {name: value for name, value in given.items() if value is not None}
    placement = fennec.place(read_features(task, mapped=False).features, facts=facts)
    _deliver_scores(fennec.recommend(placement, options.k), options)


def _deliver_scores(scores: Mapping[str, float], options: argparse.Namespace) -> None:
    steps: list[Callable[[], None]] = [lambda: say(_score_table(scores))]
    if options.out:
        steps.append(lambda: _write_scores(options.out, scores))
    deliver(*steps)


def _loaded_or_fitted(options: argparse.Namespace) -> Any:
    from ..recommend.fennec.fennec import Fennec

    if options.history.is_dir():
        return Fennec.load(options.history)
    if options.proxies is None:
        raise ValueError("give the proxy's features of the past tasks with --proxies")
    if options.metrics and len(options.metrics) > 1:
        raise ValueError("--metric: one metric fills the matrix, so give it once")
    history = _read_history(options.history, options)
    chosen = _fennec_options(history, options)
    return Fennec(metric=_matrix_metric(options), seed=options.seed, **chosen).fit(history)


def _read_history(path: Path, options: argparse.Namespace) -> Any:
    from ..recommend.history import MODEL_FACTS, TransferHistory

    if options.metrics and options.features is None:
        raise ValueError("--metric needs --features")
    return TransferHistory.read_csv(
        path,
        facts=options.facts or MODEL_FACTS,
        task_table=options.task_table,
        performance=options.performance,
        features=options.features,
        proxies=options.proxies,
    )


def _matrix_metric(options: argparse.Namespace) -> str | None:
    """What fills Fennec's matrix: the table, unless a metric is named."""
    return options.metrics[0] if options.metrics else None


def _fennec_options(history: Any, options: argparse.Namespace) -> dict[str, Any]:
    w = options.meta_weight
    if w is None:
        sizes = (history.fact(name) for name in ("parameters", "layers"))
        w = 0.5 if any(len(size) == len(history.models) for size in sizes) else 0.0
    return {
        "n_factors": options.factors,
        "meta_weight": w,
        "regressor": options.regressor,
        "scaling": options.scaling,
    }


def _score_table(scores: Mapping[str, float]) -> str:
    from ..text.tables import format_scores, text_table

    cells = format_scores(list(scores.values()))
    rows = [
        [str(place), model, cell]
        for place, (model, cell) in enumerate(zip(scores, cells, strict=True), start=1)
    ]
    return text_table(["#", "model", "score"], rows, "rlr")


def _write_scores(path: Path, scores: Mapping[str, float]) -> None:
    from ..files.csv_cells import csv_text
    from ..files.score_files import json_text, write_atomically

    if path.suffix == ".json":
        write_atomically(path, json_text(dict(scores), indent=1))
    else:
        write_atomically(path, csv_text([["model", "score"], *scores.items()]))


# ---------------------------------------------------------------------------- evaluate


def _evaluate(options: argparse.Namespace) -> int:
    from ..evaluation.yardstick import leave_one_task_out

    check_table(options.out)
    check_picture(options.plot)
    history = _read_history(options.table, options)
    comparison = leave_one_task_out(
        history,
        _recommenders(history, options),
        groups=read_groups(options.groups),
        clusters=read_groups(options.clusters),
        ks=options.k or (1, 3),
        seed=options.seed,
    )
    table = str(comparison) if options.against is None else comparison.table(options.against)
    text = f"{_heading(options.table, history)}\n{table}"
    if comparison.skipped:
        text += f"\nleft out, since they tell no two models apart: {_listed(comparison.skipped)}"
    steps: list[Callable[[], None]] = [lambda: say(text)]
    if options.out:
        steps.append(lambda: _write_comparison(options.out, comparison))
    if options.plot:
        steps.append(lambda: _draw(options.plot, comparison))
    deliver(*steps)
    return OK


def _listed(names: Sequence[str]) -> str:
    return several(names, len(names), quoted=False)


def _write_comparison(path: Path, comparison: Any) -> None:
    (comparison.to_csv if path.suffix == ".csv" else comparison.to_json)(path)


def _draw(path: Path, comparison: Any) -> None:
    from ..display.plots import save_figure

    save_figure(comparison.plot(), path)


def _heading(path: Path, history: Any) -> str:
    known, all_pairs = int(history.known.sum()), history.known.size
    gaps = "" if known == all_pairs else f", {known} of {all_pairs} transfers known"
    return (
        f"{plain(path.name)}: {len(history.models)} models, {len(history.tasks)} tasks{gaps}; each "
        "task held out in turn"
    )


def _recommenders(history: Any, options: argparse.Namespace) -> dict[str, Any]:
    from ..evaluation.yardstick import by_metric

    chosen = {}
    if options.proxies is not None:
        from ..recommend.recommenders import by_fennec

        given = _fennec_options(history, options)
        chosen["Fennec (table)"] = by_fennec(metric=None, **given)
        if options.features is not None:
            spec = _matrix_metric(options) or "fda_score"
            chosen[f"Fennec ({spec})"] = by_fennec(history.scored(spec), **given)
    if options.features is not None:
        specs = options.metrics or ["fda_score"]
        chosen.update({spec: by_metric(spec) for spec in specs})
    return {**chosen, **offered(history, options, lambda: _fennec_options(history, options))}
