"""``recommend`` by what needs no proxy: Completion, told some models' scores, and the mean rank."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..files.text_files import read_table
from ..text.quoting import plain, shown

Scores = dict[str, dict[str, dict[str, float]]]


def add_told_options(command: argparse.ArgumentParser) -> None:
    """Add the options of a recommendation by some models that were run."""
    add = command.add_argument
    add(
        "--told",
        metavar="MODEL=V",
        action="append",
        default=[],
        help="completion: what MODEL reached on the new task; or with --scores its score there, as "
        "MODEL=METRIC=V where there are several metrics; may be repeated",
    )


def add_scores_option(command: argparse.ArgumentParser) -> None:
    """Add the table of a metric's scores of past tasks."""
    command.add_argument(
        "--scores",
        metavar="F",
        type=Path,
        help="metrics' scores of the models on the tasks: .csv with the columns 'model' and "
        "'task', every other column a metric",
    )


def read_scores(path: Path) -> Scores:
    """Return the scores of a long table by metric, task and model."""
    from ..files.target_files import MODEL_TITLES, TASK_TITLES

    table = read_table(path, MODEL_TITLES)
    at_model, at_task = table.find(*MODEL_TITLES), table.find(*TASK_TITLES)
    if at_model is None:
        raise table.no_column(MODEL_TITLES[0])
    if at_task is None:
        raise table.no_column(TASK_TITLES[0])
    models, tasks = table.names(at_model), table.names(at_task)
    scores: Scores = {}
    for column, title in enumerate(table.titles):
        if column in (at_model, at_task):
            continue
        by_task: dict[str, dict[str, float]] = scores.setdefault(title, {})
        for model, task, value in zip(models, tasks, table.numbers(column, models), strict=True):
            if model in by_task.setdefault(task, {}):
                raise ValueError(
                    f"{plain(path)}: model {shown(model)} on task {shown(task)} occurs twice"
                )
            by_task[task][model] = value
    if not scores:
        raise ValueError(f"{plain(path)}: has no column beside model and task; add one of scores")
    return scores


def told_search(completion: Any, told: list[str]) -> Any:
    """Return a search that was told what the options say."""
    search = completion.start()
    for text in told:
        metric = _metric_of(text, completion)
        model, _, value = text.rpartition("=")
        if metric is not None:
            model = model.removesuffix(f"={metric}")
        try:
            number = float(value)
        except ValueError:
            model = ""
        if not model:
            raise ValueError(f"--told: {shown(text)} given; it is MODEL=NUMBER")
        search.tell(model, number if metric is None else {metric: number})
    return search


def _metric_of(text: str, completion: Any) -> str | None:
    """The metric that MODEL=METRIC=V names; models' names may hold equals signs themselves."""
    parts = text.rsplit("=", 2)
    return parts[1] if len(parts) == 3 and parts[1] in completion.view_names_ else None


def completion_report(search: Any, k: int | None) -> tuple[str, Mapping[str, float]]:
    """Return the table of the best k models, with what to run next, and their scores."""
    from ..text.tables import format_scores, text_table

    scores = search.recommend(k)
    at = {model: m for m, model in enumerate(search.models)}
    std, best = search.std, search.best_probability()
    cells = format_scores(list(scores.values()))
    rows = [
        [
            str(place),
            model,
            cell,
            f"{std[at[model]]:.2f}",
            f"{best[at[model]]:.3f}",
            "told" if model in search.told else "",
        ]
        for place, (model, cell) in enumerate(zip(scores, cells, strict=True), start=1)
    ]
    text = text_table(["#", "model", "score", "sd", "best", ""], rows, "rlrrrl")
    following = search.next_model()
    return (text if following is None else f"{text}\nrun next: {following}"), scores


def mean_rank_scores(history: Any) -> dict[str, float]:
    """Return the models' mean ranks on the past tasks, best first."""
    from ..evaluation.controls import mean_rank
    from ..recommend.history import Task

    found = mean_rank(history, Task("new"))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def offered(
    history: Any, options: argparse.Namespace, fennec_options: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return the recommenders of ``evaluate`` that were asked for, beside Fennec and metrics."""
    from ..evaluation.yardstick import by_table
    from ..recommend.recommenders import by_completion, by_fennec, by_model_spider, by_stacking

    asked = set(options.recommenders or [])
    scores = None if options.scores is None else read_scores(options.scores)
    chosen: dict[str, Any] = {}
    for name, of in (scores or {}).items():
        chosen[name] = by_table(of, metric=True)
    if "completion" in asked or scores is not None:
        proxies: dict[str, Any] = {"proxies": True} if options.proxies is not None else {}
        if scores is None and options.features is None:
            chosen["Completion, none run"] = by_completion(n_models=0, **proxies)
        else:
            every = len(history.models)
            counts = sorted({min(n, every) for n in (3, 5, every)})
            metrics: dict[str, Any] = dict(scores or {}) or {
                spec: None for spec in options.metrics or ["fda_score"]
            }
            for name, of in metrics.items():
                given: dict[str, Any] = {"metric": name} if of is None else {}
                for n in counts:
                    title = f"Completion on {name}, {n} run"
                    chosen[title] = by_completion(of, n, **given, **proxies)
    if "stacked" in asked or scores is not None:
        chosen["stacked"] = by_stacking(scores, proxies=options.proxies is not None)
    for name in ("fennec", "spider"):
        if name in asked and options.proxies is None:
            raise ValueError(f"--recommender {name} needs --proxies")
    if "fennec" in asked:
        chosen["Fennec (table)"] = by_fennec(metric=None, **fennec_options())
    if "spider" in asked:
        # The published network is sixteen times as wide, which would take hours here.
        narrow = by_model_spider(width=64, epochs=20, learning_rate=3e-3)
        chosen["Model Spider (table, 64 wide)"] = narrow
    return chosen


def read_groups(path: Path | None) -> dict[str, str] | None:
    """Return task to group of a table with the columns ``task`` and ``group``."""
    if path is None:
        return None
    from ..files.target_files import TASK_TITLES

    table = read_table(path, TASK_TITLES)
    at_task, at_group = table.find(*TASK_TITLES), table.find("group", "cluster", "kind", "domain")
    if at_task is None:
        raise table.no_column(TASK_TITLES[0])
    if at_group is None:
        raise table.no_column("group")
    return dict(zip(table.names(at_task), table.names(at_group), strict=True))
