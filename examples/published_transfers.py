"""Fennec's transfer phase on published transfer tables, beside the controls.

    python examples/published_transfers.py DIR [--draws N]

DIR holds the tables as `transfer_<name>.csv`. They come without images, so that there are neither
proxy features nor scores of features: the matrix is the accuracies, and a new task is placed

- at the mean of the past tasks' places (nothing is known of it), or
- by the accuracies of three models that were fine-tuned on it; the others are ranked.

Also, a fifth of each table is hidden and told from the rest.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transfer_kernels.evaluation import weighted_kendall
from transfer_kernels.evaluation.controls import mean_performance, mean_rank
from transfer_kernels.evaluation.yardstick import MEAN_RANK, leave_one_task_out
from transfer_kernels.recommend import Fennec, Task, TransferHistory
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


def told_some(history: TransferHistory, draws: int) -> tuple[float, float, float]:
    """Rank the models that are not told by Fennec, and by the mean rank, on every task.

    Returns
    -------
    fennec, mean_rank, models_ranked : float
        Mean weighted Kendall tau of each over the tasks and draws of the models that are told, and
        how many models were ranked on average.
    """
    found = []
    for task in history.tasks:
        past, truth = history.without_task(task), history.column(task)
        if len(truth) < TOLD + 3:
            continue
        fennec, control = fitted(past), mean_rank(past, history.task(task))
        for draw in range(draws):
            told = np.random.default_rng(draw).choice(list(truth), TOLD, replace=False)
            place = fennec.place(performance={model: truth[model] for model in told})
            scores = fennec.recommend(place)
            rest = {model: value for model, value in truth.items() if model not in told}
            if len(set(rest.values())) > 1:
                taus = [weighted_kendall({m: s[m] for m in rest}, rest) for s in (scores, control)]
                found.append([*taus, len(rest)])
    fennec_tau, control_tau, ranked = np.mean(found, axis=0)
    return float(fennec_tau), float(control_tau), float(ranked)


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
    header += ["95 % above mean rank", f"Fennec told {TOLD}", "mean rank", "hidden: Fennec"]
    header += ["additive"]
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
        told, control, ranked = told_some(history, draws)
        rows.append(
            [
                name,
                str(len(history.models)),
                str(len(history.tasks)),
                *(f"{comparison.mean(one):.3f}" for one in names),
                f"{low:+.3f} … {high:+.3f}",
                f"{told:.3f}",
                f"{control:.3f}",
                *(f"{error:.2f}" for error in hidden_error(history, draws)),
            ]
        )
    return text_table(header, rows, "l" + "r" * (len(header) - 1))


def main() -> None:
    """Read the command line and print the report."""
    parser = argparse.ArgumentParser(description="Fennec's transfer phase on published tables.")
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--draws", metavar="N", type=int, default=20)
    arguments = parser.parse_args()
    print(report(read_tables(arguments.folder), arguments.draws))


if __name__ == "__main__":
    main()
