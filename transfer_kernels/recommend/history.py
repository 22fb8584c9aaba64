"""The transfer history: how well known models did on past tasks, and what else is known of both."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.array_files import Pathlike, existing_file
from ..files.csv_cells import csv_text, restored
from ..files.feature_files import FeatureFile, read_features, read_outputs
from ..files.score_files import write_atomically
from ..files.target_files import MODEL_TITLES, TASK_TITLES, find_companion, read_labels
from ..files.text_files import Table, read_table
from ..files.zoo_folders import ZooFolder, scan_folder
from ..inputs import arrays
from ..text.quoting import plain, several, shown

#: Columns of a table of models that are no tasks.
MODEL_FACTS = ("parameters", "layers")

Facts = Mapping[str, Mapping[str, float]]
FeatureSource = Callable[[str, str], Any]
ProxySource = Mapping[str, Any] | Callable[[str], Any]


@dataclass(frozen=True)
class Task:
    """One task as a recommender sees it: everything that is known of it but how models did on it.

    Attributes
    ----------
    name : str
    facts : mapping of str to float
        Such as ``images`` and ``classes``.
    """

    name: str
    facts: Mapping[str, float] = field(default_factory=dict)
    feature_source: Callable[[str], Any] | None = field(default=None, repr=False)
    proxy_source: Callable[[], Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the arguments: Python's read-only mappings do neither."""
        sources = (self.feature_source, self.proxy_source)
        return type(self), (self.name, dict(self.facts), *sources)

    def features(self, model: str) -> FeatureFile:
        """Return a model's features (n, d) of the task and their labels (n,).

        Where more is known of the model than features, they are a ``ModelOutputs``.

        Raises
        ------
        ValueError
            If the task has no source of features.
        """
        if self.feature_source is None:
            raise ValueError(
                f"task {shown(self.name)} has no features of any model; give the history a source "
                "of them with features=, or use the performances that it holds"
            )
        return _as_feature_file(self.feature_source(model))

    def labelled_features(self, model: str) -> FeatureFile:
        """Return the same, and raise ValueError also where there are no labels."""
        found = self.features(model)
        if found.labels is None:
            raise ValueError(
                f"the features of model {shown(model)} of task {shown(self.name)} come without "
                "labels; give pairs of features and labels"
            )
        return found

    def proxy(self) -> FeatureFile:
        """Return the features that one large model, the proxy, has of the task.

        They come with labels where the source gives some.

        Raises
        ------
        ValueError
            If the task has no proxy features.
        """
        found = None if self.proxy_source is None else self.proxy_source()
        if found is None:
            raise ValueError(
                f"task {shown(self.name)} has no proxy features; give the history those of one "
                "large model for every task with proxies="
            )
        return _as_feature_file(found)


class TransferHistory:
    """Performance of models on past tasks, with gaps, and what else is known of both.

    Nothing here is changed after it was made; the methods that add or remove give a new history.

    Parameters
    ----------
    models, tasks : sequence of str
        Their names, M and T of them, each once.
    performance : (M, T) array_like, optional
        Higher is better, in any unit; NaN where it is not known, which is everywhere by default.
    features : callable or path, optional
        ``features(model, task)`` returns the features (n, d) that a model has of a task's images,
        before any fine-tuning, or a ``ModelOutputs``, and their labels (n,), as a pair. Or a folder
        that holds, for each task, a folder of its name in the format of ``transfer-kernels rank``:
        one file of features for each model, and the labels. Nothing is loaded before it is asked
        for.
    proxies : callable, mapping or path, optional
        Features of one large general model, the same for all tasks: ``proxies(task)`` or
        ``proxies[task]`` is an array (n, d) or a pair of it and the labels (n,). Or a folder with
        one file of features for each task.
    model_facts : mapping of str to mapping of str to float, optional
        Numbers by model, such as ``{"resnet18": {"parameters": 11.7e6, "layers": 21}}``.
    task_facts : mapping of str to mapping of str to float, optional
        Numbers by task, such as ``{"dtd": {"images": 5640, "classes": 47}}``.

    Attributes
    ----------
    models, tasks : tuple of str
    performance : (M, T) float64 array, read-only
    known : (M, T) bool array
        Where the performance is known.

    Raises
    ------
    ValueError, TypeError
        If names are missing, repeated or no text, shapes do not fit, the performance holds
        infinite values, or facts name unknown models or tasks.

    Examples
    --------
    >>> history = TransferHistory(
    ...     ["a", "b"], ["cars", "pets", "dtd"], [[91.0, 88.0, 70.1], [92.5, float("nan"), 73.0]]
    ... )
    >>> history.column("pets")
    {'a': 88.0}
    >>> history.without_task("cars")
    TransferHistory(2 models, 2 tasks, 3 of 4 transfers known)
    """

    def __init__(
        self,
        models: Sequence[str],
        tasks: Sequence[str],
        performance: Any = None,
        *,
        features: FeatureSource | Pathlike | None = None,
        proxies: ProxySource | Pathlike | None = None,
        model_facts: Facts | None = None,
        task_facts: Facts | None = None,
    ) -> None:
        self.models = _names(models, "models")
        self.tasks = _names(tasks, "tasks")
        self.performance = _performance(performance, len(self.models), len(self.tasks))
        self.known = np.isfinite(self.performance)
        # Searched for every name of every part of a history, so not in the tuples.
        self._places = {
            kind: {name: place for place, name in enumerate(names)}
            for kind, names in (("model", self.models), ("task", self.tasks))
        }
        self.model_facts = _facts(model_facts, self.models, "model_facts")
        self.task_facts = _facts(task_facts, self.tasks, "task_facts")
        self._features = _feature_source(features)
        self._proxies = _proxy_source(proxies)

    @classmethod
    def from_records(
        cls, records: Iterable[tuple[str, str, float]], **sources: Any
    ) -> TransferHistory:
        """Make a history of (model, task, performance) triples; pairs not listed are gaps.

        Models and tasks are in the order in which they first occur; ``sources`` are the keyword
        arguments of the constructor.

        Raises
        ------
        ValueError
            If a pair occurs twice, or as the constructor raises.
        """
        found: dict[tuple[str, str], float] = {}
        for model, task, value in records:
            if (model, task) in found:
                raise ValueError(
                    f"records: model {shown(model)} on task {shown(task)} occurs twice"
                )
            found[model, task] = value
        models = list(dict.fromkeys(model for model, _ in found))
        tasks = list(dict.fromkeys(task for _, task in found))
        rows = [[found.get((model, task), math.nan) for task in tasks] for model in models]
        return cls(models, tasks, rows, **sources)

    @classmethod
    def read_csv(
        cls,
        path: Pathlike,
        *,
        tasks: Sequence[str] | None = None,
        facts: Sequence[str] = MODEL_FACTS,
        task_table: Pathlike | None = None,
        performance: str | None = None,
        **sources: Any,
    ) -> TransferHistory:
        """Read a transfer table.

        Titles may be in any case, columns parted by commas, semicolons or tabs; numbers may end in
        a percent sign, which is taken away. A first column without a title is an index, or the
        models where no column is called so.

        Parameters
        ----------
        path : str or Path
            Wide: a column ``model``, and one for each task; empty cells, ``nan`` and ``-`` are
            gaps. Or long, one transfer a line: the columns ``model``, ``task`` or ``dataset`` or
            ``target dataset``, and ``performance`` or ``accuracy`` or ``oracle``. Where
            ``architecture`` and ``source dataset`` stand for the model, as in PARC's tables, its
            name is both with a slash between.
        tasks : sequence of str, optional
            The tasks to read, in this order; by default all, which in a wide table are the columns
            that are no ``facts``.
        facts : sequence of str, default ("parameters", "layers")
            Columns of a wide table that are facts of the models.
        task_table : str or Path, optional
            Table with a column ``task`` or ``dataset``, whose other columns become facts of the
            tasks.
        performance : str, optional
            The column of a long table that holds the performances, where it has several, such as
            the scores of several metrics.
        **sources
            ``features`` and ``proxies`` of the constructor.

        Raises
        ------
        ValueError
            If a column is missing, a cell is no number, or a model or pair occurs twice.
        FileNotFoundError
            If there is no such file.
        """
        table = read_table(existing_file(path), MODEL_TITLES)
        models = _model_names(table)
        history, model_facts = (
            (_long_history(cls, table, models, performance, tasks), {})
            if _is_long(table, performance)
            else _wide_history(cls, table, models, facts, tasks)
        )
        task_facts: dict[str, dict[str, float]] = {}
        if task_table is not None:
            told = read_table(existing_file(task_table), TASK_TITLES)
            key = told.find(*TASK_TITLES)
            if key is None:
                raise told.no_column(TASK_TITLES[0])
            others = {title: i for i, title in enumerate(told.titles) if i != key}
            task_facts = _row_facts(told, told.names(key), "task", others)
            task_facts = {task: task_facts.get(task, {}) for task in history.tasks}
        return cls(
            history.models,
            history.tasks,
            history.performance,
            model_facts=model_facts,
            task_facts=task_facts,
            **sources,
        )

    def to_csv(self, path: Pathlike, task_table: Pathlike | None = None) -> None:
        """Write the wide table that `read_csv` reads, gaps as empty cells, at full precision.

        Features are not written. Facts of the tasks go to ``task_table``.
        """
        facts = list(dict.fromkeys(name for row in self.model_facts.values() for name in row))
        rows: list[list[str]] = []
        for model, line in zip(self.models, self.performance, strict=True):
            known = self.model_facts.get(model, {})
            rows.append([model, *map(_cell, line), *(_cell(known.get(f, math.nan)) for f in facts)])
        _write_table(path, ["model", *self.tasks, *facts], rows)
        if task_table is not None:
            facts = list(dict.fromkeys(name for row in self.task_facts.values() for name in row))
            rows = [
                [task, *(_cell(self.task_facts.get(task, {}).get(f, math.nan)) for f in facts)]
                for task in self.tasks
            ]
            _write_table(task_table, ["task", *facts], rows)

    # ------------------------------------------------------------------ parts

    def task(self, name: str) -> Task:
        """Return what is known of one task apart from the performance on it.

        Raises
        ------
        ValueError
            If there is no such task.
        """
        self._index(name, self.tasks, "task")
        features, proxies = self._features, self._proxies
        return Task(
            name,
            self.task_facts.get(name, {}),
            None if features is None else partial(_features_of, features, name),
            None if proxies is None else partial(_one_proxy, proxies, name),
        )

    def features(self, model: str, task: str) -> FeatureFile:
        """Return a model's features of a task and their labels; raises as `Task.features`."""
        self._index(model, self.models, "model")
        return self.task(task).features(model)

    def proxy(self, task: str) -> FeatureFile:
        """Return the proxy's features of a task; raises as `Task.proxy`."""
        return self.task(task).proxy()

    @property
    def has_features(self) -> bool:
        """Whether there is a source of the models' features."""
        return self._features is not None

    @property
    def has_proxies(self) -> bool:
        """Whether there is a source of the proxy's features."""
        return self._proxies is not None

    def column(self, task: str) -> dict[str, float]:
        """Return the known performances on a task by model."""
        t = self._index(task, self.tasks, "task")
        return self._known_items(self.models, self.performance[:, t])

    def row(self, model: str) -> dict[str, float]:
        """Return the known performances of a model by task."""
        m = self._index(model, self.models, "model")
        return self._known_items(self.tasks, self.performance[m])

    def fact(self, name: str) -> dict[str, float]:
        """Return one fact of all models that have it, such as ``"parameters"``."""
        return {m: self.model_facts[m][name] for m in self.models if name in self.model_facts[m]}

    def task_fact(self, name: str) -> dict[str, float]:
        """Return one fact of all tasks that have it, such as ``"classes"``."""
        return {t: self.task_facts[t][name] for t in self.tasks if name in self.task_facts[t]}

    # ------------------------------------------------------------------ other histories

    def subset(
        self, models: Sequence[str] | None = None, tasks: Sequence[str] | None = None
    ) -> TransferHistory:
        """Return the history of these models and tasks, in this order; all by default."""
        models = self.models if models is None else models
        tasks = self.tasks if tasks is None else tasks
        rows = [self._index(model, self.models, "model") for model in models]
        columns = [self._index(task, self.tasks, "task") for task in tasks]
        return TransferHistory(
            models,
            tasks,
            self.performance[np.ix_(rows, columns)],
            features=self._features,
            proxies=self._proxies,
            model_facts={model: self.model_facts[model] for model in models},
            task_facts={task: self.task_facts[task] for task in tasks},
        )

    def without_task(self, task: str) -> TransferHistory:
        """Return the history without one task."""
        self._index(task, self.tasks, "task")
        return self.subset(tasks=[name for name in self.tasks if name != task])

    def with_performance(self, performance: Any) -> TransferHistory:
        """Return the same models and tasks with another matrix (M, T)."""
        return TransferHistory(
            self.models,
            self.tasks,
            performance,
            features=self._features,
            proxies=self._proxies,
            model_facts=self.model_facts,
            task_facts=self.task_facts,
        )

    def scored(self, metric: str = "fda_score", *, backend: str | None = None) -> TransferHistory:
        """Return the history whose performance is a metric's score of every model's features.

        Parameters
        ----------
        metric : str
            Spec of a metric of this package.
        backend : str, optional
            Force a backend.
        """
        from ..metrics import metric_call, score_models

        call = metric_call(metric)
        columns = []
        for name in self.tasks:
            task = self.task(name)
            models = ((model, *task.labelled_features(model)) for model in self.models)
            columns.append(score_models(models, call, backend=backend))
        return self.with_performance([[column[m] for column in columns] for m in self.models])

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by the arguments: Python's read-only mappings do neither."""
        facts = (
            {name: dict(row) for name, row in given.items()}
            for given in (self.model_facts, self.task_facts)
        )
        sources = (self._features, self._proxies)
        return _made_again, (
            type(self),
            self.models,
            self.tasks,
            self.performance,
            *sources,
            *facts,
        )

    def __repr__(self) -> str:
        return (
            f"TransferHistory({len(self.models)} models, {len(self.tasks)} tasks, "
            f"{int(self.known.sum())} of {self.known.size} transfers known)"
        )

    def _index(self, name: str, names: tuple[str, ...], kind: str) -> int:
        place = self._places[kind].get(name)
        if place is None:
            raise ValueError(
                f"{kind} {shown(name)} is not in this history; it has {several(names, 12)}"
            )
        return place

    @staticmethod
    def _known_items(names: Sequence[str], values: NDArray) -> dict[str, float]:
        pairs = zip(names, values.tolist(), strict=True)
        return {name: value for name, value in pairs if not math.isnan(value)}


# ---------------------------------------------------------------------------- the door


def _made_again(
    kind: type[TransferHistory],
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    performance: NDArray[np.float64],
    features: FeatureSource | None,
    proxies: ProxySource | None,
    model_facts: Facts,
    task_facts: Facts,
) -> TransferHistory:
    return kind(
        models,
        tasks,
        performance,
        features=features,
        proxies=proxies,
        model_facts=model_facts,
        task_facts=task_facts,
    )


def _names(names: Any, argument: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{argument}: a sequence of names is needed, not {shown(names)}")
    listed = tuple(names)
    if not listed:
        raise ValueError(f"{argument}: none given")
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"{argument}: names are texts; {shown(name)} is not")
    if len(set(listed)) < len(listed):
        first = {name: place for place, name in reversed(list(enumerate(listed)))}
        repeated = next(name for place, name in enumerate(listed) if first[name] != place)
        raise ValueError(f"{argument}: {shown(repeated)} occurs twice")
    return listed


def _performance(performance: Any, n_models: int, n_tasks: int) -> NDArray[np.float64]:
    if performance is None:
        matrix = np.full((n_models, n_tasks), math.nan)
    else:
        given = arrays.as_array(performance, "performance")
        if given.dtype.kind not in "fiub":
            raise TypeError(
                f"performance must be real numbers with NaN for gaps, not of dtype {given.dtype}"
            )
        matrix = np.array(given, dtype=np.float64)
    if matrix.shape != (n_models, n_tasks):
        raise ValueError(
            f"performance of shape {matrix.shape} does not fit {n_models} models and {n_tasks} "
            f"tasks; it must be of shape ({n_models}, {n_tasks})"
        )
    if np.isinf(matrix).any():
        row, column = np.argwhere(np.isinf(matrix))[0]
        raise ValueError(
            f"performance contains {matrix[row, column]} first at row {row}, column {column}; "
            "write NaN where it is not known"
        )
    matrix.flags.writeable = False
    return matrix


def _facts(facts: Facts | None, names: Sequence[str], argument: str) -> Facts:
    given = {} if facts is None else facts
    there = set(names)
    if unknown := [name for name in given if name not in there]:
        raise ValueError(f"{argument}: {shown(unknown[0])} is not in this history")
    kept = {}
    for name in names:
        row = {fact: float(value) for fact, value in given.get(name, {}).items()}
        for fact, value in row.items():
            if not math.isfinite(value):
                raise ValueError(f"{argument}: {fact} of {shown(name)} is {value}; leave it out")
        kept[name] = MappingProxyType(row)
    return MappingProxyType(kept)


def _feature_source(source: FeatureSource | Pathlike | None) -> FeatureSource | None:
    return _FeatureFolder(Path(source)) if isinstance(source, str | Path) else source


@dataclass(frozen=True)
class _FeatureFolder:
    """The models' features of every task, below a folder."""

    root: Path

    def __call__(self, model: str, task: str) -> FeatureFile:
        folder = self.root / task
        if folder.is_dir():
            path = _file_of(scan_folder(folder), model, f"features of model {shown(model)}")
            labels = find_companion(folder, "labels")
        else:  # all models and data sets in one folder
            zoo = scan_folder(self.root, dataset=task)
            if not zoo.by_dataset:
                raise ValueError(f"{plain(folder)}: is not a folder; name one for each task")
            path = _file_of(zoo, model, f"features of model {shown(model)} of task {shown(task)}")
            labels = None
        outputs, own = read_outputs(path, mapped=False)
        # Features alone are an array, as where functions give them.
        given = outputs.features if set(outputs.given) == {"features"} else outputs
        return FeatureFile(given, read_labels(labels) if labels else own)


def _file_of(zoo: ZooFolder, name: str, what: str) -> Path:
    if name not in zoo.models:
        note = zoo.note().partition(": ")[2]
        raise ValueError(f"{plain(zoo.folder)}: holds no {what}" + (f"; {note}" if note else ""))
    return zoo.models[name]


def _proxy_source(source: ProxySource | Pathlike | None) -> ProxySource | None:
    return _ProxyFolder(Path(source)) if isinstance(source, str | Path) else source


@dataclass(frozen=True)
class _ProxyFolder:
    """The proxy's features of every task, in a folder."""

    root: Path

    def __call__(self, task: str) -> FeatureFile:
        path = _file_of(scan_folder(self.root), task, f"proxy features of task {shown(task)}")
        return read_features(path, mapped=False)


def _features_of(features: FeatureSource, task: str, model: str) -> Any:
    return features(model, task)


def _one_proxy(proxies: ProxySource, task: str) -> Any:
    return proxies.get(task) if isinstance(proxies, Mapping) else proxies(task)


def _as_feature_file(found: Any) -> FeatureFile:
    return FeatureFile(*found) if isinstance(found, tuple) else FeatureFile(found)


# ---------------------------------------------------------------------------- tables


#: Titles of the column of a long table that holds the performance.
_PERFORMANCE_TITLES = ("performance", "accuracy", "oracle")


def _model_names(table: Table) -> list[str]:
    """The model of every row: one column, or architecture and source data set as in PARC."""
    key = table.find(*MODEL_TITLES)
    if key is None:
        both = [table.find("architecture"), table.find("source dataset", "source")]
        parts = [table.names(column) for column in both if column is not None]
        if len(parts) < 2:
            raise table.no_column(MODEL_TITLES[0])
        names = ["/".join(pair) for pair in zip(*parts, strict=True)]
    else:
        names = table.names(key)
    if not names:
        raise ValueError(f"{plain(table.path)}: has no lines")
    return names


def _is_long(table: Table, performance: str | None) -> bool:
    """Whether a line is one transfer: there is a column of names of tasks."""
    column = table.find(*TASK_TITLES)
    if performance is not None or column is None:
        return performance is not None
    # A wide table may have a task of that name, with numbers.
    titled = table.find(*_PERFORMANCE_TITLES) is not None
    return titled or all(isinstance(cell, str) for cell in table.cells(column))


def _long_history(
    cls: type[TransferHistory],
    table: Table,
    models: Sequence[str],
    performance: str | None,
    tasks: Sequence[str] | None,
) -> TransferHistory:
    task = table.find(*TASK_TITLES)
    value = table.find(*_PERFORMANCE_TITLES if performance is None else (performance,))
    if task is None:
        raise table.no_column(TASK_TITLES[0])
    if value is None and performance is not None:
        raise table.no_column(performance)
    if value is None:
        raise ValueError(
            f"{plain(table.path)}: has no column 'performance', but "
            f"{several(table.titles, 12)}; choose one with performance= or --performance"
        )
    numbers = table.numbers(value, models)
    records = zip(models, table.names(task), numbers, strict=True)
    history = cls.from_records(records)
    return history if tasks is None else history.subset(tasks=tasks)


def _wide_history(
    cls: type[TransferHistory],
    table: Table,
    models: Sequence[str],
    facts: Sequence[str],
    tasks: Sequence[str] | None,
) -> tuple[TransferHistory, dict[str, dict[str, float]]]:
    told = {fact: at for fact in facts if (at := table.find(fact)) is not None}
    others = {table.find(*MODEL_TITLES), *told.values()}
    columns = {restored(title): i for i, title in enumerate(table.titles) if i not in others}
    chosen = list(columns) if tasks is None else list(tasks)
    if missing := [task for task in chosen if task not in columns]:
        raise ValueError(f"{plain(table.path)}: has no column {several(missing)}")
    by_task = [table.numbers(columns[task], models) for task in chosen]
    rows = np.array(by_task).reshape(len(chosen), len(models)).T
    return cls(models, chosen, rows), _row_facts(table, models, "model", told)


def _row_facts(
    table: Table, names: Sequence[str], key: str, columns: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Numbers of some columns by the name in the key column; other texts are passed over."""
    facts: dict[str, dict[str, float]] = {}
    cells = {title: table.cells(column) for title, column in columns.items()}
    for row, name in enumerate(names):
        if name in facts:
            raise ValueError(f"{plain(table.path)}: {key} {shown(name)} occurs twice")
        values = ((title, found[row]) for title, found in cells.items())
        facts[name] = {
            title: value
            for title, value in values
            if not isinstance(value, str) and math.isfinite(value)
        }
    return facts


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _write_table(path: Pathlike, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    write_atomically(path, csv_text([header, *rows]))
