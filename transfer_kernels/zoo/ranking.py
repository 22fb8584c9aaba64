"""Many models, one target: every metric of every model in one table, best model first."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..display.score_table import (
    MOST_IN_ONE_TABLE,
    Section,
    TableColumn,
    as_html,
    as_text,
    sections,
)
from ..evaluation.measures import Evaluation, evaluate
from ..files.csv_cells import csv_text
from ..files.score_files import (
    Journal,
    JournalEntry,
    array_digest,
    file_stamp,
    json_text,
    write_atomically,
)
from ..files.target_files import read_labels
from ..files.zoo_folders import label_file_of
from ..inputs.arrays import device_kind, is_integer, require_positive_integer
from ..inputs.model_outputs import ModelOutputs, as_outputs, checked_target_inputs
from ..kernels.threads import thread_count
from ..metrics import (
    DEFAULT_METRICS,
    MetricCall,
    MissingInputWarning,
    Spec,
    UninformativeScoreWarning,
    family_of,
    lacking_text,
    left_out_text,
    metric_calls,
    stands_for_all,
)
from ..metrics.scatter_problem import is_scatter
from ..ops.backends import choose_backend, forced_backend
from ..optional_packages import require
from ..text.quoting import plain, several, shown
from ..text.tables import MISSING, format_seconds
from ..text.terminal import described, progress_bar
from .adjustments import (
    CONSENSUS,
    WITH_LAYERS,
    Adjustment,
    added_columns,
    added_names,
    combined,
    consensus,
    informed_consensus,
    printed,
    says_little,
    usual,
)
from .every_metric import calls_for, without_inputless
from .scoring import Job, Outcome, Source, Target
from .worker_pool import score_all

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ModelScores:
    """One row of a ranking.

    Attributes
    ----------
    name : str
        The model.
    scores : mapping of str to float
        Metric to score, higher is better; NaN where the metric failed or lacks an input. Of a
        metric that compares models its parts too, as ``"<metric>.<part>"``.
    seconds : mapping of str to float
        Metric to the time it took. The first metric of a model that needs a piece of work bears
        all of it, though others use it too, and the first model of a process bears the loading of
        libraries; reading and checking the features counts nowhere.
    error : str or None
        What went wrong, with the name of the metric unless all failed alike.
    warnings : mapping of str to str
        Metric to the reason why its score says little, where there is one.
    """

    name: str
    scores: Mapping[str, float]
    seconds: Mapping[str, float]
    error: str | None = None
    warnings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("scores", "seconds", "warnings"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the arguments: Python's read-only mappings do neither."""
        scores, seconds, warnings = map(dict, (self.scores, self.seconds, self.warnings))
        return type(self), (self.name, scores, seconds, self.error, warnings)


class Ranking(Sequence[ModelScores]):
    """The models of a zoo with their scores, best first; made by `transfer_kernels.rank`.

    A sequence of `ModelScores`. Its order is that of one column, ``order_by``; models without a
    finite score there come last.

    Parameters
    ----------
    models : sequence of ModelScores
        In any order.
    metrics : sequence of str
        Metric specs, as the keys of the scores.
    order_by : str, optional
        One of ``columns``; the default is the first metric, with layers if they are given.
    layers : mapping of str to float, optional
        Numbers of layers by model name; adds a column ``"<metric> + layers"`` per metric.
    adjustments : sequence of callable, optional
        Functions of the table of the metrics, column to model to score, that give further columns;
        see ``transfer_kernels.zoo.adjustments``.
    agreement : callable, optional
        Which adjustment gives the consensus: `transfer_kernels.zoo.adjustments.consensus`, or
        `transfer_kernels.zoo.adjustments.informed_consensus`, which passes over metrics that say
        little.
    families : mapping of str to str, optional
        Metric to its family, a key of ``transfer_kernels.metrics.families.FAMILIES``; the default
        is that of the registered metric, "features" where there is none.

    Attributes
    ----------
    columns : tuple of str
        What the models can be ordered by: the metrics, then the parts of those that compare models
        (``"<metric>.<part>"``), then ``"<metric> + layers"`` if the numbers of layers are known,
        then those of the adjustments, then, with several metrics, ``"consensus"``: minus the mean
        of a model's ranks over the metrics.
    order_by : str
        The column that orders the rows.
    left_out : dict
        Metric to the reason why an informed consensus passes over it.
    """

    def __init__(
        self,
        models: Sequence[ModelScores],
        metrics: Sequence[str],
        order_by: str | None = None,
        layers: Mapping[str, float] | None = None,
        adjustments: Sequence[Adjustment] = (),
        agreement: Adjustment = consensus,
        families: Mapping[str, str] | None = None,
    ) -> None:
        self.metrics = tuple(metrics)
        parts = [name for model in models for name in model.scores if name not in self.metrics]
        columns = {
            name: {m.name: m.scores.get(name, math.nan) for m in models}
            for name in dict.fromkeys((*self.metrics, *parts))
        }
        table = {metric: columns[metric] for metric in self.metrics}
        of_metrics = {metric: (families or {}).get(metric) or family_of(metric) for metric in table}
        self._families = {
            name: of_metrics[name if name in table else name.rpartition(".")[0]]
            for name in columns
            if name in table or name.rpartition(".")[0] in table
        }
        columns |= added_columns(table, usual(layers, adjustments, agreement))
        self._columns: dict[str, dict[str, float]] = columns
        informed = agreement is informed_consensus and len(table) > 1
        self.left_out = says_little(table) if informed else {}
        self.order_by = self._checked(order_by or _default_order(self.metrics, layers))
        place = self.ranks(self.order_by)
        self._rows = sorted(models, key=lambda model: place.get(model.name, math.inf))

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Model name to column to score, best model first; NaN where there is none."""
        return {
            row.name: {column: values[row.name] for column, values in self._columns.items()}
            for row in self
        }

    @property
    def errors(self) -> dict[str, str]:
        """Model name to what went wrong, of the models where something did."""
        return {row.name: row.error for row in self if row.error is not None}

    def column(self, name: str) -> dict[str, float]:
        """Return one column, model name to score, e.g. for `transfer_kernels.evaluate`."""
        values = self._columns[self._checked(name)]
        return {row.name: values[row.name] for row in self}

    def ranks(self, column: str) -> dict[str, int]:
        """Return ranks by a column, 1 for the best; equal scores share the better rank.

        Models without a finite score have none.
        """
        return _ranks(self._columns[self._checked(column)])

    def best(self, k: int = 1, metric: str | None = None) -> list[str]:
        """Return the names of the ``k`` best models, best first, failed ones left out.

        Parameters
        ----------
        k : int, default 1
        metric : str, optional
            One of ``columns``; the default is the order of the table.
        """
        require_positive_integer(k, "k")
        ranks = self.ranks(metric or self.order_by)
        return sorted(ranks, key=ranks.__getitem__)[:k]

    def evaluate(
        self, accuracies: Mapping[str, float], ks: Sequence[int] = (1, 3)
    ) -> dict[str, Evaluation]:
        """Compare every column with true accuracies, as `transfer_kernels.evaluate` does.

        Columns with fewer than two finite scores are left out.
        """
        comparable = [column for column in self.columns if len(self.ranks(column)) > 1]
        return {column: evaluate(self.column(column), accuracies, ks) for column in comparable}

    def plot(self, truth: Mapping[str, float] | None = None, column: str | None = None) -> Figure:
        """Draw the ranking, or with ``truth`` the scores against the true accuracies.

        Parameters
        ----------
        truth : mapping of str to float, optional
            True accuracies by model name.
        column : str, optional
            One of ``columns``; the default is the order of the table, with ``truth`` every column
            that has two models in common with it.

        Returns
        -------
        matplotlib.figure.Figure
            It is not shown; `transfer_kernels.display.plots.save_figure` writes it.
        """
        from ..display.plots import plot_against_truth, plot_ranking

        if truth is not None:
            chosen = [c for c in self.columns if len(self.ranks(c).keys() & truth.keys()) > 1]
            chosen = chosen if column is None else [column]
            return plot_against_truth({name: self.column(name) for name in chosen}, truth)
        return plot_ranking(self.column(column or self.order_by), column or self.order_by)

    def plot_ranks(self) -> Figure:
        """Draw the models' ranks by every metric as a heat map, the metrics by family.

        The models are in the order of the consensus, where there is one, else of the table.

        Returns
        -------
        matplotlib.figure.Figure
            As that of `plot`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from ..display.rank_pictures import plot_ranks

        by = CONSENSUS if CONSENSUS in self._columns else self.order_by
        place = self.ranks(by)
        models = sorted((row.name for row in self), key=lambda name: place.get(name, math.inf))
        table = {metric: self._columns[metric] for metric in self.metrics}
        mean = {name: -value for name, value in self._columns.get(CONSENSUS, {}).items()}
        return plot_ranks(table, models, self._families, mean, self.left_out)

    def plot_agreement(self) -> Figure:
        """Draw Spearman's rank correlation between the metrics, similar ones side by side.

        Metrics that order nothing are left out; the picture says which.

        Returns
        -------
        matplotlib.figure.Figure
            As that of `plot`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If fewer than two metrics tell models apart.
        """
        from ..display.rank_pictures import plot_agreement

        return plot_agreement({metric: self._columns[metric] for metric in self.metrics})

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries and lists of plain numbers and texts."""
        scores, ranks = self.scores, {column: self.ranks(column) for column in self.columns}
        return {
            "metrics": list(self.metrics),
            "order_by": self.order_by,
            "models": [
                {
                    "model": row.name,
                    "scores": scores[row.name],
                    "ranks": {column: ranks[column].get(row.name) for column in self.columns},
                    "seconds": dict(row.seconds),
                    "error": row.error,
                    "warnings": dict(row.warnings),
                }
                for row in self
            ],
        }

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` as a JSON file, all at once; scores that are missing become null."""
        write_atomically(path, json_text(_without_nan(self.to_dict()), indent=2))

    def to_csv(self, path: str | Path) -> None:
        """Write a CSV file, all at once: model, scores, ranks, seconds and error, best first.

        Names that a spreadsheet would run or a reader would change are marked, see
        ``transfer_kernels.files.csv_cells``; the readers of this package restore them.
        """
        records = self._records()
        rows = [list(records[0]), *(list(record.values()) for record in records)]
        write_atomically(path, csv_text(rows))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a `pandas.DataFrame` with the models as its index, best first."""
        pandas = require("pandas", "DataFrame", use="to_pandas", extra="pandas")
        return pandas.DataFrame(self._records()).set_index("model")

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __str__(self) -> str:
        return as_text(*self._parts())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(*self._parts())

    def _checked(self, column: str) -> str:
        if column not in self._columns:
            raise ValueError(
                f"column {shown(column)} is not in this ranking; it has {several(self._columns)}"
            )
        return column

    def _records(self) -> list[dict[str, Any]]:
        """Return flat rows: model, columns, their ranks, seconds of each metric, error."""
        ranks = {column: self.ranks(column) for column in self.columns}
        return [
            {
                "model": row.name,
                **{column: self._columns[column][row.name] for column in self.columns},
                **{f"rank: {c}": ranks[c].get(row.name, math.nan) for c in self.columns},
                **{f"seconds: {metric}": row.seconds[metric] for metric in self.metrics},
                "error": row.error,
                "warning": "; ".join(dict.fromkeys(row.warnings.values())) or None,
            }
            for row in self
        ]

    def _parts(self) -> tuple[list[TableColumn], list[Section], list[str]]:
        """Return key columns, sections and foot lines of the printed table."""
        names = [row.name for row in self]
        many = len(self.metrics) > MOST_IN_ONE_TABLE
        keys = [
            TableColumn("#", self._places(self.order_by)),
            TableColumn("model", names, "l"),
        ]
        columns = {}
        for column in self.columns:
            values = self._columns[column]
            title, cells = printed(column, [values[name] for name in names])
            beside = []
            if column != self.order_by:
                beside.append(TableColumn("#", self._places(column)))
            if column in self.metrics and not many:
                seconds = [format_seconds(row.seconds[column]) for row in self]
                beside.append(TableColumn("time", seconds))
            columns[column] = TableColumn(title, cells, "r", beside)
        foot = []
        if self.left_out:
            reasons = "; ".join(f"{name} ({why})" for name, why in self.left_out.items())
            foot.append(f"not in the mean #: {reasons}")
        errors = [TableColumn("error", [row.error or "" for row in self], "l")]
        if not many:
            shown_errors = errors if self.errors else []
            return keys, [Section("", [*columns.values(), *shown_errors])], foot
        known = [[t for t in row.seconds.values() if t == t] for row in self]
        spent = [math.fsum(times) if times else math.nan for times in known]
        time = TableColumn("time", list(map(format_seconds, spent)))
        added = {name: columns.pop(name) for name in self.columns if name not in self._families}
        first = [Section("over all metrics", [*added.values(), time])]
        last = [Section("errors", errors)] if self.errors else []
        return keys, [*first, *sections(columns, self._families), *last], foot

    def _places(self, column: str) -> list[str]:
        ranks = self.ranks(column)
        return [str(ranks.get(row.name, MISSING)) for row in self]


def rank(
    zoo: Mapping[str, Source],
    labels: Any = None,
    metrics: Spec | Sequence[Spec] = DEFAULT_METRICS,
    *,
    order_by: str | None = None,
    layers: Mapping[str, float] | None = None,
    adjustments: Sequence[Adjustment] = (),
    backend: str | None = None,
    device: str | None = None,
    n_jobs: int = 1,
    progress: bool | None = None,
    journal: str | Path | Journal | None = None,
    ignore_label: Any = None,
    **target_inputs: Any,
) -> Ranking:
    """Score every model of a zoo on one target and rank them.

    Parameters
    ----------
    zoo : mapping of str to source
        Model name to features (n, d) of the target's samples: an array or tensor, a `ModelOutputs`,
        a ``FisherScatter`` for metrics that one determines, the path of a feature file (see
        `transfer_kernels.files.feature_files.read_outputs`), or a function without arguments that
        returns one of them. Paths and functions are loaded when their turn comes and released after
        it. Widths d may differ.
    labels : array_like of shape (n,), str or Path, optional
        Labels of the samples, or the path of a file of them (see
        `transfer_kernels.files.target_files.read_labels`). Without them every file must hold its
        own, or have them beside it (see `transfer_kernels.files.feature_files.read_features`).
        Metrics that take no labels do without.
    metrics : str, Metric, callable, or sequence of them, default ("sfda", "logme", "parc")
        Metric specs such as ``"parc(n_components=32)"``; or functions ``f(features, labels)`` of
        your own that give a number, higher for the better model. They are filed under their names
        and scored anew each time: a journal cannot tell whether a function has changed. ``"all"``
        stands for every metric that is defined for what is given, with its default options.
    order_by : str, optional
        What orders the table: one of the metrics (the default is the first), ``"consensus"`` (the
        mean rank over the metrics; of ``metrics="all"`` the default, over those that say something,
        see `transfer_kernels.zoo.adjustments.informed_consensus`), or ``"<metric> + layers"``.
    layers : mapping of str to float, optional
        Numbers of layers by model name. Adds for every metric the heuristic of PARC's authors for
        zoos of mixed depth (Bolya et al. 2021): the score, standardised over the zoo, plus
        layers / 50, as the column ``"<metric> + layers"``; the first of them then orders the
        table. The plain scores stay as they are.
    adjustments : sequence of callable, optional
        Functions of the table of the metrics, column to model to score, that give further columns,
        such as `transfer_kernels.zoo.adjustments.min_max`.
    backend : str, optional
        Force a backend, see `transfer_kernels.show_backends`.
    device : str, optional
        Copy every model's features to this device, such as ``"cuda"``, and score them there; by
        default they are scored where they are.
    n_jobs : int, default 1
        Worker processes; -1 stands for as many as threads would be used, and more than there are
        processors (or than two, where there is one) are not started. Each gets its share of the
        threads: with ``TRANSFER_KERNELS_NUM_THREADS=8`` and 4 workers each has 2, its linear
        algebra libraries included. They are started anew (spawn), so a script needs its
        ``if __name__ == "__main__":``; in a daemonic process, such as a worker of
        ``multiprocessing.Pool``, none can be started, and all is done there. Give paths rather than
        arrays, since arrays are copied to the workers. A score may differ in its last bits from
        that of another number of workers, since each has fewer threads.
    progress : bool, optional
        Show a progress bar on stderr; the default is to show it on a terminal only.
    journal : str, Path or Journal, optional
        File to which each finished score is appended at once. A later call with the same journal
        takes from it every score whose features, labels, metric, backend and version of the
        package are unchanged. Files count as unchanged when size and time of modification are;
        arrays are compared by a digest. Where it cannot be written, as on a full disk, a warning
        says so and the scores are computed all the same.
    ignore_label : optional
        Samples with this label, such as -1 or -100, are left out; NaN stands for every missing
        label.
    **target_inputs : object
        What the target gives besides its labels: ``label_embeddings``, ``reference``; see
        `transfer_kernels.inputs.model_outputs.TargetInputs`.

    Returns
    -------
    Ranking

    Warns
    -----
    MissingInputWarning
        If metrics need inputs that models or the target lack: the cells are empty.
    UninformativeScoreWarning
        If scores say little, once for each reason, with the names of the models.

    Raises
    ------
    ValueError, TypeError
        If the zoo is empty or no mapping, a metric or option or the backend is unknown, numbers
        of layers are missing, or ``n_jobs`` is less than 1. What goes wrong with one model or
        metric raises nothing: it is recorded in the row of the model.
    KeyboardInterrupt
        When interrupted; what was finished is in the journal if there is one.
    """
    by_all = stands_for_all(metrics)
    calls = () if by_all else metric_calls(metrics)
    _check_zoo(zoo, layers)
    n_jobs = _checked_jobs(n_jobs)
    target = _target(labels, backend, device, ignore_label, checked_target_inputs(target_inputs))
    left_out: dict[str, list[str]] = {}
    if by_all:
        calls, left_out = calls_for(zoo, target)
    specs = tuple(call.spec for call in calls)
    agreement = informed_consensus if by_all else consensus
    order = _checked_order(order_by, calls, layers, adjustments)
    served_by = _backends_by_model(zoo, backend, device)
    store = journal if isinstance(journal, Journal | None) else Journal(journal)
    keys = {}
    if store is not None:
        kept = [call for call in calls if call.is_reproducible]
        keys = _journal_keys(zoo, kept, target, served_by)

    outcomes: dict[tuple[str, str], Outcome] = {}
    for pair, key in keys.items():
        if store is not None and (entry := store.get(key)) is not None:
            outcomes[pair] = Outcome(
                *pair, entry.score, entry.seconds, warning=entry.warning, parts=entry.parts or {}
            )
    jobs = [
        Job(model, source, wanted)
        for model, source in zoo.items()
        if (wanted := tuple(call for call in calls if (model, call.spec) not in outcomes))
    ]
    n_scores = len(zoo) * len(specs)
    with (
        progress_bar(n_scores, progress, unit="score", initial=len(outcomes)) as bar,
        closing(score_all(jobs, target, n_jobs)) as fresh,
    ):
        for outcome in fresh:
            pair = (outcome.model, outcome.metric)
            outcomes[pair] = outcome
            is_score = outcome.error is None and not outcome.lacks
            if store is not None and is_score and pair in keys:
                entry = JournalEntry(
                    outcome.score, outcome.seconds, outcome.warning, outcome.parts or None
                )
                try:
                    store.add(keys[pair], entry)
                except OSError as error:  # no reason to lose the scores themselves
                    store = None
                    _warn_of_journal(error)
            bar.update()
    if by_all:
        calls, lacking = without_inputless(calls, zoo, outcomes)
        specs = tuple(call.spec for call in calls)
        left_out |= lacking
        if order_by is None:
            by_consensus = layers is None and len(specs) > 1
            order = CONSENSUS if by_consensus else _default_order(specs, layers)
    for call in calls:
        if call.metric.parts:
            for outcome in combined(call, [outcomes[model, call.spec] for model in zoo]):
                outcomes[outcome.model, call.spec] = outcome
    rows = [_row(model, calls, [outcomes[model, spec] for spec in specs]) for model in zoo]
    _warn(rows)
    _warn_of_lacks([outcomes[model, spec] for model in zoo for spec in specs], left_out)
    families = {call.spec: call.metric.family for call in calls}
    return Ranking(rows, specs, order, layers, adjustments, agreement, families)


def _warn_of_journal(error: OSError) -> None:
    warnings.warn(
        f"journal: {plain(described(error))}; the scores are computed, but from here on an "
        "interrupted run cannot be taken up",
        RuntimeWarning,
        stacklevel=3,
    )


def _warn_of_lacks(outcomes: Iterable[Outcome], left_out: Mapping[str, Iterable[str]]) -> None:
    metrics: dict[str, list[str]] = {}
    models: dict[str, list[str]] = {}
    for outcome in outcomes:
        for name in outcome.lacks:
            metrics.setdefault(name, []).append(outcome.metric)
            models.setdefault(name, []).append(outcome.model)
    texts = [left_out_text(left_out)] if left_out else []
    if metrics:
        texts.append(lacking_text(metrics, models))
    if texts:
        warnings.warn(". ".join(texts), MissingInputWarning, stacklevel=3)


def _row(model: str, calls: Sequence[MetricCall], outcomes: Sequence[Outcome]) -> ModelScores:
    messages = {outcome.metric: outcome.error for outcome in outcomes if outcome.error}
    if len(messages) == len(outcomes) and len(set(messages.values())) == 1:
        error: str | None = next(iter(messages.values()))
    else:
        error = "; ".join(f"{metric}: {message}" for metric, message in messages.items()) or None
    scores = {outcome.metric: outcome.score for outcome in outcomes}
    for call, outcome in zip(calls, outcomes, strict=True):
        for part in call.metric.parts:
            scores[call.column_of(part)] = outcome.parts.get(part, math.nan)
    return ModelScores(
        model,
        scores,
        {outcome.metric: outcome.seconds for outcome in outcomes},
        error,
        {o.metric: o.warning for o in outcomes if o.warning},
    )


def _warn(rows: Sequence[ModelScores]) -> None:
    """Give each reason why scores say little once, with all the models that it concerns."""
    concerned: dict[str, list[str]] = {}
    for row in rows:
        for reason in dict.fromkeys(row.warnings.values()):
            concerned.setdefault(reason, []).append(row.name)
    for reason, names in concerned.items():
        models = several(names, 20, quoted=False)
        warnings.warn(f"{models}: {reason}", UninformativeScoreWarning, stacklevel=3)


def _default_order(specs: Sequence[str], layers: Mapping[str, float] | None) -> str:
    return specs[0] if layers is None else specs[0] + WITH_LAYERS


def _checked_order(
    order_by: str | None,
    calls: Sequence[MetricCall],
    layers: Mapping[str, float] | None,
    adjustments: Sequence[Adjustment],
) -> str:
    specs = [call.spec for call in calls]
    if order_by is None:
        return _default_order(specs, layers)
    parts = [call.column_of(part) for call in calls for part in call.metric.parts]
    known = [*specs, *parts, *added_names(specs, usual(layers, adjustments))]
    if order_by not in known:
        raise ValueError(f"order_by: {shown(order_by)} given; it is one of {', '.join(known)}")
    return order_by


def _check_zoo(zoo: Any, layers: Mapping[str, float] | None) -> None:
    if not isinstance(zoo, Mapping):
        raise TypeError(
            f"zoo: a mapping from model name to features is needed, not {type(zoo).__name__}"
        )
    if not zoo:
        raise ValueError("zoo: holds no model")
    unnamed = [name for name in zoo if not isinstance(name, str)]
    if unnamed:
        raise TypeError(f"zoo: model names are texts; {shown(unnamed[0])} is not")
    if layers is not None and (missing := [name for name in zoo if name not in layers]):
        raise ValueError(f"layers: no number for {several(missing)}")


def _checked_jobs(n_jobs: Any) -> int:
    if is_integer(n_jobs) and n_jobs == -1:
        return thread_count()
    require_positive_integer(n_jobs, "n_jobs", remedy="or -1 for all processors")
    return int(n_jobs)


def _target(
    labels: Any,
    backend: str | None,
    device: str | None,
    ignore_label: Any,
    inputs: Mapping[str, Any],
) -> Target:
    if not isinstance(labels, str | os.PathLike):
        return Target(labels, backend, device, ignore_label, inputs=inputs)
    path = Path(labels)
    skips_missing = isinstance(ignore_label, float) and math.isnan(ignore_label)
    given = read_labels(path, keep_missing=skips_missing)
    return Target(given, backend, device, ignore_label, f"those in {plain(path)}", inputs)


def _backends_by_model(
    zoo: Mapping[str, Source], backend: str | None, device: str | None
) -> dict[str, str]:
    """Return the backend that will serve each model; of functions it is not known before."""
    forced_backend(backend)
    kinds = {
        model: _device_kind(source) if device is None else device.partition(":")[0]
        for model, source in zoo.items()
        if device is not None or not callable(source)
    }
    serving = {kind: choose_backend(backend, kind).name for kind in dict.fromkeys(kinds.values())}
    return {model: serving[kind] for model, kind in kinds.items()}


def _device_kind(source: Source) -> str:
    first = source.first if isinstance(source, ModelOutputs) else source
    return device_kind(first.shift if is_scatter(first) else first)


def _journal_keys(
    zoo: Mapping[str, Source],
    calls: Sequence[MetricCall],
    target: Target,
    served_by: Mapping[str, str],
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what each score depends on, for all sources that can be told apart.

    Functions cannot, so they have no keys.
    """
    from .. import __version__

    shared = {
        "labels": None if target.labels is None else array_digest(target.labels),
        "version": __version__,
        **({} if target.ignore_label is None else {"ignore_label": repr(target.ignore_label)}),
    }
    of_target = {name: _digest(value) for name, value in target.inputs.items()}
    keys = {}
    for model, source in zoo.items():
        stamp: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        try:
            if isinstance(source, str | os.PathLike):
                stamp = file_stamp(source)
                if beside := label_file_of(Path(source)):
                    stamp |= {f"labels {key}": what for key, what in file_stamp(beside).items()}
            elif callable(source):
                continue
            else:
                given = as_outputs(source).given
                wanted = frozenset().union(*(call.metric.needs for call in calls))
                inputs = {n: _digest(value) for n, value in given.items() if n in wanted}
        except (OSError, TypeError, ValueError):
            continue  # scoring it will tell what is wrong
        for call in calls:
            read = {**inputs, **of_target}
            keys[model, call.spec] = {
                "model": model,
                "metric": call.spec,
                "backend": served_by[model],
                **stamp,
                **{name: read[name] for name in sorted(call.metric.needs & read.keys())},
                **shared,
            }
    return keys


def _digest(value: Any) -> Any:
    """What tells that an input is unchanged."""
    if is_scatter(value):
        return [array_digest(getattr(value, part.name)) for part in fields(value)]
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return [array_digest(part) for part in value]
    if hasattr(value, "tocsr"):
        rows = value.tocsr()
        parts = (rows.data, rows.indices, rows.indptr, rows.shape)
        return [array_digest(part) for part in parts]
    return array_digest(value)


def _ranks(scores: Mapping[str, float]) -> dict[str, int]:
    finite = {name: score for name, score in scores.items() if math.isfinite(score)}
    ordered = sorted(finite, key=lambda name: -finite[name])
    ranks: dict[str, int] = {}
    for place, name in enumerate(ordered, start=1):
        tied = place > 1 and finite[name] == finite[ordered[place - 2]]
        ranks[name] = ranks[ordered[place - 2]] if tied else place
    return ranks


def _without_nan(value: Any) -> Any:
    """Replace numbers that are not finite by None, all the way down."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
