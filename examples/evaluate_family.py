"""Measure what every metric of features and labels is worth, beside plain controls.

    python examples/evaluate_family.py [--history DIR] [--zoo DIR] [--cache DIR] [--jobs N]

Needs the features that `make_transfer_history.py --features-only` makes in `--cache` in minutes.
Scores every model of the transfer history on every task, and every model of the example zoo;
what was measured is kept in `<cache>/family.jsonl`, so that a run that was stopped goes on. Writes
`family.csv` (all scores), `family.json` (what they are worth) and `family.png` beside the history,
and the table in `docs/metrics.md`.
"""

import argparse
import csv
import io
import json
import math
import multiprocessing
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import median

import numpy as np
from history_tasks import domain_of, source_of
from tqdm import tqdm

from transfer_kernels import UninformativeScoreWarning
from transfer_kernels.evaluation.measures import weighted_kendall
from transfer_kernels.evaluation.yardstick import (
    MEAN_RANK,
    PARAMETERS,
    Comparison,
    by_table,
    leave_one_task_out,
    with_mean_rank,
)
from transfer_kernels.files.feature_files import read_features
from transfer_kernels.metrics import METRICS, metric_call
from transfer_kernels.metrics.registry import RelativeToZoo
from transfer_kernels.recommend import TransferHistory

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "metrics.md"
BEGIN, END = "<!-- family: begins -->", "<!-- family: ends -->"
ZOO = "digits_zoo"
FORMATS = (".npy", ".npz", ".safetensors")
FEATURES_ALONE = frozenset({"features"})
#: Beside the defaults, the forms that published tables hold.
VARIANTS = (
    "hscore(shrinkage='ledoit-wolf')",
    "gbc(covariance='spherical')",
    "etran_lda(variant='paper')",
    "logme(variant='thuml')",
)
#: Metrics that a published score should beat.
CONTROLS = ("knn", "ridge_probe", "loss")
BASELINE = "ridge_probe"
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TRANSFER_KERNELS_NUM_THREADS")

Pair = tuple[str, str]  # task, model
Scores = dict[str, dict[str, dict[str, float]]]  # column, task, model


def measured_specs() -> tuple[str, ...]:
    """Name every metric that features and labels determine, and its other published forms."""
    own = [m for m in METRICS.values() if m.compute.__module__.startswith("transfer_kernels.")]
    return (*(metric.name for metric in own if metric.needs == FEATURES_ALONE), *VARIANTS)


def columns_of(spec: str) -> tuple[str, ...]:
    """Name what one model gives: the score, or the parts where models are compared."""
    return tuple(f"{spec}.{part}" for part in metric_call(spec).metric.parts) or (spec,)


def measure(features: str, labels: str, spec: str) -> tuple[list[float | None], float]:
    """Score one model alone; returns its columns, None where undefined, and CPU seconds."""
    sample, y = read_features(features).features, np.load(labels)
    call = metric_call(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UninformativeScoreWarning)
        start = time.process_time()
        if call.metric.parts:
            values = list(call.metric.parts_of(sample, y, **call.options).values())
        else:
            values = [call.metric(sample, y, **call.options)]
        seconds = time.process_time() - start
    if any(map(math.isinf, values)):
        raise ValueError(f"{spec} of {features} is infinite, which has no place in a table")
    return [None if math.isnan(value) else value for value in values], seconds


def measure_pair(features: str, labels: str, specs: Sequence[str]) -> dict[str, list]:
    """Score one model by several metrics, one after the other and sharing nothing."""
    return {spec: list(measure(features, labels, spec)) for spec in specs}


def pairs_to_measure(history: TransferHistory, cache: Path, zoo: Path) -> dict[Pair, list[str]]:
    """Return the files of features and of labels of every model on every task, and in the zoo."""
    pairs = {
        (task, model): [
            str(cache / "features" / task / f"{model}.npy"),
            str(cache / "features" / task / "labels.npy"),
        ]
        for task in history.tasks
        for model in history.models
    }
    for model in zoo_column(zoo, "accuracy"):
        (path,) = (p for p in zoo.glob(f"{model}.*") if p.suffix in FORMATS)
        pairs[ZOO, model] = [str(path), str(zoo / "labels.npy")]
    return pairs


def zoo_column(zoo: Path, column: str) -> dict[str, float]:
    """Return a column of the example zoo's truth by model."""
    with (zoo / "truth.csv").open(newline="") as file:
        return {row["model"]: float(row[column]) for row in csv.DictReader(file)}


def measure_all(pairs: Mapping[Pair, list[str]], journal: Path, jobs: int) -> dict[Pair, dict]:
    """Measure what the journal lacks; returns by pair and spec the columns and the seconds."""
    found: dict[Pair, dict] = {pair: {} for pair in pairs}
    if journal.exists():
        for line in journal.read_text().splitlines():
            kept = json.loads(line)
            found.setdefault((kept["task"], kept["model"]), {}).update(kept["scores"])
    for name in ONE_THREAD:  # read by the processes that measure, when they load their libraries
        os.environ[name] = "1"
    lacking = {
        pair: [spec for spec in measured_specs() if spec not in found[pair]] for pair in pairs
    }
    lacking = {pair: specs for pair, specs in lacking.items() if specs}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawn) as pool, journal.open("a") as file:
        runs = {pool.submit(measure_pair, *pairs[p], specs): p for p, specs in lacking.items()}
        for run in tqdm(as_completed(runs), desc="models", total=len(runs)):
            task, model = runs[run]
            found[task, model].update(run.result())
            line = {"task": task, "model": model, "scores": run.result()}
            file.write(json.dumps(line) + "\n")
            file.flush()
    return {pair: found[pair] for pair in pairs}


def write_scores(path: Path, found: Mapping[Pair, Mapping]) -> None:
    """Write a line for each model of each task, its cell empty where a score is undefined."""
    specs = measured_specs()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "model", *(column for spec in specs for column in columns_of(spec))])
    for (task, model), scores in found.items():
        values = [value for spec in specs for value in scores[spec][0]]
        writer.writerow([task, model, *("" if v is None else f"{v:.9g}" for v in values)])
    path.write_text(text.getvalue())


def read_scores(path: Path) -> Scores:
    """Return the kept columns by name, task and model, NaN where a cell is empty."""
    scores: Scores = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            task, model = row.pop("task"), row.pop("model")
            for column, cell in row.items():
                scores.setdefault(column, {}).setdefault(task, {})[model] = float(cell or "nan")
    return scores


def scores_of(spec: str, columns: Scores) -> dict[str, dict[str, float]]:
    """Return a metric's scores by task and model, combined over the models where it has parts."""
    metric = metric_call(spec).metric
    if not isinstance(metric.scope, RelativeToZoo):
        return columns[spec]
    combined = {}
    for task, models in columns[columns_of(spec)[0]].items():
        parts = {
            part: np.array(list(columns[f"{spec}.{part}"][task].values()))
            for part in metric.scope.parts
        }
        combined[task] = dict(
            zip(models, np.asarray(metric.scope.combine(parts)).tolist(), strict=True)
        )
    return combined


def compare(history: TransferHistory, columns: Scores) -> Comparison:
    """Measure every metric, and the controls, on the tasks of the history."""
    return leave_one_task_out(
        history,
        {spec: by_table(scores_of(spec, columns), metric=True) for spec in measured_specs()},
        clusters={task: source_of(task) for task in history.tasks},
        progress=False,
    )


def rows_of(comparison: Comparison) -> list[str]:
    """Name what has a row, best first: metrics and controls, not their sums."""
    sums = {with_mean_rank(name) for name in comparison.recommenders}
    rows = [name for name in comparison.recommenders if name not in sums]
    return sorted(rows, key=lambda name: -comparison.mean(name))


def worth(
    comparison: Comparison, columns: Scores, seconds: Mapping[str, Mapping[str, float]], zoo: Path
) -> dict[str, dict]:
    """Return what every row is worth, rounded as far as it is of interest."""
    accuracies = zoo_column(zoo, "accuracy")
    content: dict[str, dict] = {}
    for name in rows_of(comparison):
        values = comparison.values(name)
        row: dict = {
            "weighted_kendall": round(comparison.mean(name), 6),
            "interval": [round(end, 6) for end in comparison.interval(name)],
            "above_mean_rank": [round(value, 6) for value in comparison.difference(name)],
            "above_ridge_probe": [
                round(value, 6) for value in comparison.difference(name, BASELINE)
            ],
            **{
                domain: round(
                    float(np.mean([v for task, v in values.items() if domain_of(task) == domain])),
                    6,
                )
                for domain in ("digits", "photographs")
            },
        }
        given: Mapping[str, float] | None = None
        if name in measured_specs():
            row["with_mean_rank"] = round(comparison.mean(with_mean_rank(name)), 6)
            row["milliseconds"] = {w: round(1e3 * s, 4) for w, s in seconds[name].items()}
            given = scores_of(name, columns)[ZOO]
        elif name == PARAMETERS:
            given = zoo_column(zoo, "parameters")
        if given is not None:
            row[ZOO] = round(
                weighted_kendall([given[m] for m in accuracies], [*accuracies.values()]), 4
            )
        row["tasks"] = {task: round(value, 6) for task, value in values.items()}
        content[name] = row
    return content


def median_seconds(found: Mapping[Pair, Mapping]) -> dict[str, dict[str, float]]:
    """Return the median CPU time of a model, in seconds, on the history and in the zoo."""
    return {
        spec: {
            where: round(
                median(s[spec][1] for (task, _), s in found.items() if (task == ZOO) == in_zoo), 7
            )
            for where, in_zoo in (("history", False), (ZOO, True))
        }
        for spec in measured_specs()
    }


def is_control(name: str) -> bool:
    """Whether a row is a control, which a published score should beat."""
    return name.endswith("(control)") or name in CONTROLS


def table_lines(content: Mapping[str, dict]) -> Iterator[str]:
    """Give the table of the page, controls in italics."""
    titles = ["", "weighted τ", "95 %", "above mean rank", "above `ridge_probe`", "with mean rank"]
    titles += ["digits", "photographs", "example zoo", "ms a model"]
    yield "| " + " | ".join(titles) + " |"
    yield "| --- " * len(titles) + "|"
    for name, row in content.items():
        control = is_control(name)
        label = name.removesuffix(" (control)")
        label = f"`{label}`" if not name.endswith("(control)") else label
        low, high = row["interval"]
        differences = []
        for key, itself in (("above_mean_rank", MEAN_RANK), ("above_ridge_probe", BASELINE)):
            gap, least, most = row[key]
            told = f"{gap:+.3f} ({least:+.3f} … {most:+.3f})".replace("-", "−")
            differences.append("" if name == itself else told)
        cells = [
            f"*{label}*" if control else label,
            f"{row['weighted_kendall']:.3f}",
            f"{low:.3f} … {high:.3f}",
            *differences,
            _cell(row.get("with_mean_rank"), ".3f"),
            f"{row['digits']:.3f}",
            f"{row['photographs']:.3f}",
            _cell(row.get(ZOO), ".3f"),
            _cell(row.get("milliseconds", {}).get("history"), ".1f"),
        ]
        yield "| " + " | ".join(cell.replace("-0.", "−0.") for cell in cells) + " |"


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def page_with(page: str, content: Mapping[str, dict]) -> str:
    """Return the page with the table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([f"{before}{BEGIN}\n", *table_lines(content), f"\n{END}{after}"])


def picture_of(comparison: Comparison):
    """Draw the metrics and the controls, these in grey."""
    figures = comparison.by_task()
    titles = {name: name for name in rows_of(comparison)}
    titles |= {name: f"{name} (control)" for name in CONTROLS}
    return Comparison(
        {title: figures[name] for name, title in titles.items()},
        clusters=dict(zip(comparison.tasks, comparison.clusters, strict=True)),
    ).plot()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description="Measure what every metric is worth.")
    parser.add_argument("--history", type=Path, default=HERE / "transfer_history")
    parser.add_argument("--zoo", type=Path, default=HERE / ZOO)
    parser.add_argument("--cache", type=Path, default=HERE / "transfer_history" / "cache")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    arguments = parser.parse_args()
    history = TransferHistory.read_csv(arguments.history / "accuracies.csv")
    pairs = pairs_to_measure(history, arguments.cache, arguments.zoo)
    found = measure_all(pairs, arguments.cache / "family.jsonl", arguments.jobs)
    write_scores(arguments.history / "family.csv", found)
    columns = read_scores(arguments.history / "family.csv")
    comparison = compare(history, columns)
    content = worth(comparison, columns, median_seconds(found), arguments.zoo)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (arguments.history / "family.json").write_text(text + "\n")
    picture_of(comparison).savefig(arguments.history / "family.png", dpi=110, bbox_inches="tight")
    PAGE.write_text(page_with(PAGE.read_text(), content))


if __name__ == "__main__":
    main()
