"""Fennec's transfer phase and Completion on published transfer tables, beside the controls.

    python examples/published_transfers.py DIR [--draws N]

DIR holds the tables as `transfer_<name>.csv`. They come without images, so that there are neither
proxy features nor scores of features: the matrix is the accuracies, and a new task is placed

- at the mean of the past tasks' places (nothing is known of it), or
- by the accuracies of three models that were fine-tuned on it; the others are ranked.

Also, a fifth of each table is hidden and told from the rest. And on Model Spider's ten models, for
which nine metrics' scores are published too, Completion learns from some of these and is told those
of three models or of all.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transfer_kernels.evaluation import weighted_kendall
from transfer_kernels.evaluation.controls import mean_performance, mean_rank
from transfer_kernels.evaluation.yardstick import (
    MEAN_RANK,
    by_table,
    leave_one_task_out,
    with_mean_rank,
)
from transfer_kernels.recommend import Completion, Fennec, Task, TransferHistory, by_completion
from transfer_kernels.recommend.fennec.factorisation import nonnegative_factors
from transfer_kernels.text.tables import text_table

WIDE = ("sfda_group1", "sfda_group2", "emms_vit", "emms_caption")
WIDE += ("modelspider_finetuned10", "modelspider_finetuned66")
LONG = ("parc_controlled", "parc_all")
REGRESSION_TASKS = ("dSprites", "UTKFace")  # negated errors, which Fennec takes only scaled
FACTORS = 5
TOLD = 3  # models whose accuracy on the new task is known
HIDDEN = 0.2


def read_tables(folder: Path) -> Iterator[tuple[str, TransferHistory]]:
    """Read the tables that are there: name and history."""
    for name in WIDE + LONG:
        path = folder / f"transfer_{name}.csv"
        if not path.exists():
            print(f"{path} is not there: left out")
        elif name in WIDE:
            history = TransferHistory.read_csv(path, facts=["in_42"])
            tasks = [task for task in history.tasks if task not in REGRESSION_TASKS]
            yield name, history.subset(tasks=tasks)
        else:
            yield name, read_parc(path)


def read_parc(path: Path) -> TransferHistory:
    """Read a table of Bolya et al. (2021): a model is an architecture and what it was trained on.

    Negative accuracies stand for what was not measured. Models with fewer than two transfers are
    left out: with one of them held out nothing of them is past.
    """
    with path.open(newline="") as file:
        history = TransferHistory.from_records(
            (f"{row['Architecture']}, {row['Source Dataset']}", row["Target Dataset"], accuracy)
            for row in csv.DictReader(file)
            if (accuracy := float(row["Oracle"])) >= 0
        )
    often = history.known.sum(axis=1) > 1
    return history.subset(models=[m for m, kept in zip(history.models, often, strict=True) if kept])


def at_the_mean_place(scaling: str):
    """Return a recommender: the new task lies at the mean of the past tasks' places."""

    def recommend(past: TransferHistory, task: Task) -> dict[str, float]:
        fennec = fitted(past, scaling)
        scores = fennec.model_vectors_ @ fennec.task_vectors_.mean(axis=0)
        return dict(zip(past.models, scores.tolist(), strict=True))

    return recommend


def fitted(past: TransferHistory, scaling: str = "none") -> Fennec:
    """Fit the transfer phase alone to the models' accuracies."""
    factors = min(FACTORS, len(past.tasks), len(past.models))
    return Fennec(metric=None, n_factors=factors, meta_weight=0.0, scaling=scaling).fit(past)


def told_some(history: TransferHistory, draws: int) -> tuple[float, float, float, float]:
    """Rank the models that are not told by Fennec, Completion and the mean rank, on every task.

    Returns
    -------
    fennec, completion, mean_rank, models_ranked : float
        Mean weighted Kendall tau of each over the tasks and draws of the models that are told, and
        how many models were ranked on average.
    """
    found = []
    for task in history.tasks:
        past, truth = history.without_task(task), history.column(task)
        if len(truth) < TOLD + 3:
            continue
        fennec, control = fitted(past), mean_rank(past, history.task(task))
        completion = Completion().fit(past)
        for draw in range(draws):
            told = np.random.default_rng(draw).choice(list(truth), TOLD, replace=False)
            place = fennec.place(performance={model: truth[model] for model in told})
            search = completion.start()
            for model in told:
                search.tell(model, truth[model])
            ranked = (fennec.recommend(place), search.recommend(), control)
            rest = {model: value for model, value in truth.items() if model not in told}
            if len(set(rest.values())) > 1:
                taus = [weighted_kendall({m: s[m] for m in rest}, rest) for s in ranked]
                found.append([*taus, len(rest)])
    fennec_tau, completion_tau, control_tau, n_ranked = np.mean(found, axis=0).tolist()
    return fennec_tau, completion_tau, control_tau, n_ranked


def hidden_error(history: TransferHistory, draws: int) -> tuple[float, float]:
    """Hide a fifth of the table and tell it: RMSE of Fennec, and of model mean + task mean."""
    errors = []
    for draw in range(draws):
        generator = np.random.default_rng(draw)
        kept = history.known & (generator.random(history.known.shape) >= HIDDEN)
        hidden = history.known & ~kept
        usable = kept.any(axis=1)[:, None] & kept.any(axis=0)[None]
        if not usable.all() or not hidden.any():
            continue
        P = np.where(kept, history.performance, np.nan)
        task_means = np.nanmean(P, axis=0)
        additive = task_means + np.nanmean(P - task_means, axis=1)[:, None]
        factors = nonnegative_factors(P, min(2, *P.shape), kept)
        told = factors.rows @ factors.columns.T
        truth = history.performance[hidden]
        errors.append([np.sqrt(np.mean((one[hidden] - truth) ** 2)) for one in (told, additive)])
    if not errors:
        return float("nan"), float("nan")
    told_error, additive_error = np.mean(errors, axis=0)
    return float(told_error), float(additive_error)


def report(tables: Iterator[tuple[str, TransferHistory]], draws: int) -> str:
    """Return the report as a text table, a row for each published table."""
    header = ["table", "models", "tasks", "mean rank", "mean accuracy", "Fennec", "Fennec, unit"]
    header += ["95 % above mean rank", f"Fennec told {TOLD}", "Completion", "mean rank"]
    header += ["hidden: Fennec", "additive"]
    rows = []
    for name, history in tables:
        comparison = leave_one_task_out(
            history,
            {
                "mean accuracy": mean_performance,
                "Fennec": at_the_mean_place("none"),
                "Fennec, unit": at_the_mean_place("unit"),
            },
            ks=(1,),
        )
        names = (MEAN_RANK, "mean accuracy", "Fennec", "Fennec, unit")
        _, low, high = comparison.difference("Fennec")
        told, completed, control, _ = told_some(history, draws)
        rows.append(
            [
                name,
                str(len(history.models)),
                str(len(history.tasks)),
                *(f"{comparison.mean(one):.3f}" for one in names),
                f"{low:+.3f} … {high:+.3f}",
                f"{told:.3f}",
                f"{completed:.3f}",
                f"{control:.3f}",
                *(f"{error:.2f}" for error in hidden_error(history, draws)),
            ]
        )
    return text_table(header, rows, "l" + "r" * (len(header) - 1))


def metric_report(folder: Path) -> str:
    """Report Completion on Model Spider's zoo with the published scores, tau weighted as there."""
    history = TransferHistory.read_csv(folder / "transfer_modelspider_finetuned10.csv")
    scores: dict[str, dict[str, dict[str, float]]] = {}
    with (folder / "transfer_modelspider_baselines.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for name in ("LogME", "H-Score", "NCE"):
                scores.setdefault(name, {}).setdefault(row["Dataset"], {})[row["Model"]] = float(
                    row[name]
                )
    history = history.subset(tasks=[task for task in history.tasks if task in scores["LogME"]])
    chosen = {name: by_table(of, metric=True) for name, of in scores.items()}
    for n_models in (TOLD, 5, len(history.models)):
        for name, of in scores.items():
            chosen[f"Completion on {name}, {n_models} run"] = by_completion(of, n_models)
        chosen[f"Completion on all three, {n_models} run"] = by_completion(scores, n_models)
    found = leave_one_task_out(history, chosen, progress=False)
    figure, rows = "weighted_kendall_by_accuracy", []
    for name in sorted(found.recommenders, key=lambda name: -found.mean(name, figure)):
        low, high = found.interval(name, figure)
        against = [MEAN_RANK, with_mean_rank("LogME")]
        gaps = [found.difference(name, one, figure) for one in against]
        rows.append(
            [
                name,
                f"{found.cost(name):.0f}",
                f"{found.mean(name, figure):.3f}",
                f"{low:.3f} … {high:.3f}",
                *(f"{gap:+.3f} ({least:+.3f} … {most:+.3f})" for gap, least, most in gaps),
            ]
        )
    header = ["", "run", "tau by accuracy", "95 %", "above mean rank", "above mean rank + LogME"]
    return text_table(header, rows, "lrrrrr")


def main() -> None:
    """Read the command line and print the report."""
    parser = argparse.ArgumentParser(description="Fennec's transfer phase on published tables.")
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--draws", metavar="N", type=int, default=20)
    arguments = parser.parse_args()
    print(report(read_tables(arguments.folder), arguments.draws))
    if (arguments.folder / "transfer_modelspider_baselines.csv").exists():
        print(metric_report(arguments.folder))


if __name__ == "__main__":
    main()
