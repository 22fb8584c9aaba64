"""The recommenders as callables for `transfer_kernels.yardstick.leave_one_task_out`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .history import Task, TransferHistory

if TYPE_CHECKING:
    from ..yardstick import Recommender


def by_fennec(
    scored: TransferHistory | None = None, architectures: Any = None, **options: Any
) -> Recommender:
    """Return a recommender that fits `Fennec` to the past and places the new task by its proxy.

    Parameters
    ----------
    scored : TransferHistory, optional
        A history of the same models and tasks whose performance is what Fennec is to learn from,
        such as ``history.scored("fda_score")``, so that it is made once for all held-out tasks; the
        column of the held-out task is taken out. By default Fennec makes its matrix each time.
    architectures
        As for `Fennec.fit`.
    **options
        Of `Fennec`.
    """
    from .fennec import Fennec

    def recommend(past: TransferHistory, task: Task) -> dict[str, float]:
        if scored is None:
            return Fennec(**options).fit(past, architectures).recommend(task)
        matrix = scored.subset(past.models, past.tasks)
        return Fennec(**{**options, "metric": None}).fit(matrix, architectures).recommend(task)

    return recommend
