"""What a metric is to the rest of the package, and the specs by which metrics are named."""

from __future__ import annotations

import ast
import inspect
import math
import types
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..inputs.bfloat16 import BFloat16Matrix
from ..inputs.model_outputs import INPUTS, TARGET_INPUTS, MissingInput, ModelOutputs
from ..text.quoting import shown
from .families import FAMILIES, family_by_needs
from .problem import Problem
from .scatter_problem import problem_of

#: Group of entry points by which other packages add metrics.
ENTRY_POINTS = "transfer_kernels.metrics"

#: What stands for all metrics where metrics are named.
ALL = "all"

#: What an option of a type takes besides values of that very type; a bool is no number.
_ALSO = {
    bool: (np.bool_,),
    int: (np.integer,),
    float: (int, np.floating, np.integer),
    tuple: (list,),
}

_ARTICLES = {
    int: "an integer",
    bool: "a bool",
    float: "a number",
    str: "a string",
    tuple: "a tuple",
}


@dataclass(frozen=True)
class Option:
    """An option of a metric.

    Parameters
    ----------
    name : str
    default : object
        What it is when it is not given; `inspect.Parameter.empty` where it must be.
    types : tuple of type
        Types of its values, NumPy's scalars of the kind included; any value where there are none.
    choices : tuple of str or None
        The values that it takes, where they are few.
    """

    name: str
    default: Any
    types: tuple[type, ...] = ()
    choices: tuple[str | None, ...] = ()

    def check(self, value: Any) -> None:
        """Raise a TypeError or ValueError unless it may have this value."""
        if self.types and not any(_is_a(value, kind) for kind in self.types):
            kinds = " or ".join(_ARTICLES.get(t, "None") for t in self.types)
            raise TypeError(f"{self.name} must be {kinds}, not {shown(value)}")
        if self.choices and value not in self.choices:
            listed = ", ".join(map(str, self.choices))
            raise ValueError(f"{self.name}={shown(value)} is unknown; choose one of {listed}")

    def __str__(self) -> str:
        return f"{self.name}={self.default!r}"


def _is_a(value: Any, kind: type) -> bool:
    if isinstance(value, (bool, np.bool_)) and kind is not bool:
        return False
    return isinstance(value, (kind, *_ALSO.get(kind, ())))


@dataclass(frozen=True)
class RelativeToZoo:
    """The scope of a metric that compares models: what each gives, and how that makes a column.

    Parameters
    ----------
    parts : tuple of str
        Names of the numbers that ``compute`` gives of one model.
    combine : callable
        ``combine(values) -> (M,) array`` of the mapping from part to an (M,) array, one entry for
        each model that has them all, finite.
    """

    parts: tuple[str, ...]
    combine: Callable[[Mapping[str, np.ndarray]], Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        unnamed = [part for part in self.parts if not str(part).isidentifier()]
        if unnamed or not self.parts:
            raise ValueError(f"parts: {self.parts!r} given; they are identifiers, at least one")
        if not callable(self.combine):
            raise TypeError(f"combine must be callable, not {self.combine!r}")


@dataclass(frozen=True)
class Metric:
    """A named score of one model's outputs for the target's labels.

    Parameters
    ----------
    name : str
        As users write it.
    compute : callable
        ``compute(problem, **options) -> float`` of a `Problem`. Its annotations say of which types
        the options are: bool, int, float, str, or one of them or None. With a scope relative to the
        zoo it gives a mapping from the names of the parts to numbers.
    summary : str
        What it measures, in half a line.
    tasks : tuple of str
        Kinds of labels that it takes: "classification", "regression", "label vectors"; none where
        the labels do not enter.
    paper : str
        Where it was published.
    choices : mapping of str to sequence of str
        The values of those options that have few.
    needs : set of str
        Names of the inputs that it reads, see ``transfer_kernels.inputs.model_outputs``.
    scope : "model" or RelativeToZoo
        Whether the number of one model is its score, or models are compared.
    from_scatter : bool
        Whether the class sums and the Gram matrix of a `transfer_kernels.ops.FisherScatter`
        determine it, so that it takes one instead of features and labels.
    direction : {"higher", "lower"}
        Which number of ``compute``, or of ``combine``, is the better. Scores are always such that
        higher is better: others are negated.
    family : str
        Where tables and pictures show it, a key of ``transfer_kernels.metrics.families.FAMILIES``;
        by default what follows from ``needs`` and ``scope``.
    """

    name: str
    compute: Callable[..., Any]
    summary: str = ""
    tasks: tuple[str, ...] = ("classification",)
    paper: str = ""
    choices: Mapping[str, typing.Iterable[str | None]] = field(default_factory=dict)
    needs: Set[str] = frozenset({"features"})
    scope: RelativeToZoo | typing.Literal["model"] = "model"
    direction: typing.Literal["higher", "lower"] = "higher"
    from_scatter: bool = False
    family: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise ValueError(
                f"name: {self.name!r} given; a metric's name is an identifier, such as 'my_metric'"
            )
        if self.name == ALL:
            raise ValueError(f"name: {ALL!r} stands for all metrics; choose another")
        if not callable(self.compute):
            raise TypeError(f"compute must be callable, not {self.compute!r}")
        if isinstance(self.needs, str):
            raise TypeError(f"needs must be a set of names of inputs, not {self.needs!r}")
        object.__setattr__(self, "needs", frozenset(self.needs))
        if unknown := sorted(self.needs - INPUTS.keys()):
            raise ValueError(f"needs: {unknown[0]!r} is no input; there are {', '.join(INPUTS)}")
        if self.direction not in ("higher", "lower"):
            raise ValueError(f"direction: {self.direction!r} given; it is 'higher' or 'lower'")
        if self.scope != "model" and not isinstance(self.scope, RelativeToZoo):
            raise ValueError(f"scope: {self.scope!r} given; it is 'model' or a RelativeToZoo")
        family = self.family or family_by_needs(self.needs, bool(self.parts))
        if family not in FAMILIES:
            raise ValueError(f"family: {family!r} given; it is one of {', '.join(FAMILIES)}")
        object.__setattr__(self, "family", family)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Names of what one model gives, where the metric compares models; else none."""
        return self.scope.parts if isinstance(self.scope, RelativeToZoo) else ()

    @cached_property
    def options(self) -> Mapping[str, Option]:
        """The options by name."""
        parameters = list(inspect.signature(self.compute).parameters.values())[1:]
        if taken := [p.name for p in parameters if p.name in TARGET_INPUTS]:
            raise ValueError(
                f"metric {self.name!r}: {taken[0]} is an input of the target and no option; name "
                "it in needs"
            )
        try:
            hints = typing.get_type_hints(self.compute)
        except (NameError, TypeError):
            hints = {}
        return {
            p.name: Option(
                p.name,
                p.default,
                _option_types(hints.get(p.name)),
                tuple(self.choices.get(p.name, ())),
            )
            for p in parameters
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        }

    def check(self, **options: Any) -> None:
        """Raise a TypeError or ValueError unless these are options of the metric."""
        for name, value in options.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise ValueError(
                    f"metric {self.name!r} has no option {shown(name)}; its options: {known}"
                )
            self.options[name].check(value)

    def __call__(
        self,
        features: Any,
        labels: Any = None,
        *,
        ignore_label: Any = None,
        backend: str | None = None,
        **given: Any,
    ) -> float:
        """The score of one model for labels; raises as `Problem` and the options do.

        ``given`` are options, and inputs of the target by name.
        """
        if self.parts:
            raise ValueError(f"{self.name} compares models: use rank")
        return MetricCall(self)._of(features, labels, ignore_label, backend, given)[""]

    def parts_of(
        self,
        features: Any,
        labels: Any = None,
        *,
        ignore_label: Any = None,
        backend: str | None = None,
        **given: Any,
    ) -> dict[str, float]:
        """The parts of one model by name, where the metric compares models."""
        if not self.parts:
            raise ValueError(f"{self.name} has no parts: it is a number of one model")
        return MetricCall(self)._of(features, labels, ignore_label, backend, given)


def _option_types(hint: Any) -> tuple[type, ...]:
    """The types that an annotation names, where it names nothing that cannot be checked."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    kinds = typing.get_args(hint) if union else (hint,)
    known = (*_ARTICLES, type(None))
    return tuple(kinds) if all(kind in known for kind in kinds) and hint is not None else ()


def _as_score(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"a metric gives a number, not {type(value).__name__}") from None


@dataclass(frozen=True)
class OfArrays:
    """A plain function of features and labels as a metric's ``compute``."""

    function: Callable[[Any, Any], float]

    def __call__(self, problem: Problem) -> float:
        features = problem.features
        if isinstance(features, BFloat16Matrix):
            features = np.asarray(features)
        return self.function(features, problem.labels)


@dataclass(frozen=True)
class MetricCall:
    """A metric with the options that a spec gives it.

    Parameters
    ----------
    metric : Metric
    options : mapping of str to object
        Those that were given.
    """

    metric: Metric
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> str:
        """The canonical spelling, under which scores are filed."""
        if not self.options:
            return self.metric.name
        given = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"{self.metric.name}({given})"

    @property
    def columns(self) -> tuple[str, ...]:
        """What one model's values are filed under: the spec, or ``spec.part`` for each part."""
        return tuple(map(self.column_of, self.metric.parts)) or (self.spec,)

    def column_of(self, part: str) -> str:
        """What a part is filed under."""
        return f"{self.spec}.{part}"

    @property
    def is_reproducible(self) -> bool:
        """Whether the spec says all: not so for a function, whose code may change."""
        return not isinstance(self.metric.compute, OfArrays)

    def __call__(self, problem: Problem) -> float:
        """The score of one model; ValueError where the metric compares models."""
        if self.metric.parts:
            raise ValueError(f"{self.spec} compares models: use rank")
        return self.signed(_as_score(self.metric.compute(problem, **self.options)))

    def parts(self, problem: Problem) -> dict[str, float]:
        """The parts of one model by name, of a metric that compares models."""
        found = self.metric.compute(problem, **self.options)
        if not isinstance(found, Mapping) or set(found) != set(self.metric.parts):
            wanted = ", ".join(self.metric.parts)
            raise TypeError(f"{self.spec} gives a mapping of {wanted}, not {shown(found)}")
        return {part: _as_score(found[part]) for part in self.metric.parts}

    def values(self, problem: Problem) -> dict[str, float]:
        """Column to value of one model; see `columns`."""
        if not self.metric.parts:
            return {self.spec: self(problem)}
        return {self.column_of(part): value for part, value in self.parts(problem).items()}

    def column(self, found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Model to score, from model to what `values` gave of it."""
        if not self.metric.parts:
            return {model: values[self.spec] for model, values in found.items()}
        return self.combined(
            {
                model: {part: values[self.column_of(part)] for part in self.metric.parts}
                for model, values in found.items()
            }
        )

    def combined(self, parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Model to score, of a metric that compares models, from model to part to value.

        Models without all their parts, finite, have NaN and do not enter.
        """
        scope = self.metric.scope
        assert isinstance(scope, RelativeToZoo)
        scores = dict.fromkeys(parts, math.nan)
        whole = [m for m, row in parts.items() if all(map(math.isfinite, row.values()))]
        if whole:
            table = {p: np.array([parts[m][p] for m in whole], np.float64) for p in scope.parts}
            column = np.asarray(scope.combine(table), dtype=np.float64)
            if column.shape != (len(whole),):
                raise TypeError(
                    f"{self.spec}: combine gives one number for each of {len(whole)} models, not "
                    f"an array of shape {column.shape}"
                )
            scores.update(zip(whole, map(self.signed, column.tolist()), strict=True))
        return scores

    def lacking(self, problem: Problem) -> list[str]:
        """The inputs that the metric needs and the problem lacks."""
        return problem.lacking(self.metric.needs, self.metric.from_scatter)

    def signed(self, value: float) -> float:
        """The number such that higher is better."""
        return -value if self.metric.direction == "lower" else value

    def _of(
        self,
        features: Any,
        labels: Any,
        ignore_label: Any,
        backend: str | None,
        given: Mapping[str, Any],
    ) -> dict[str, float]:
        """The parts of one model, or under "" its score, for what a public function was given."""
        options = dict(given)
        of_target = {name: options.pop(name) for name in TARGET_INPUTS if name in options}
        self.metric.check(**options)
        call = MetricCall(self.metric, options)
        outputs = (
            features.only(self.metric.needs) if isinstance(features, ModelOutputs) else features
        )
        problem = problem_of(outputs, labels, backend, ignore_label, **of_target)
        if not self.metric.needs <= problem.inputs.given and (lacking := self.lacking(problem)):
            if problem.only_sums:
                raise MissingInput(
                    f"{self.metric.name} needs {lacking[0]}: a FisherScatter does not determine it"
                )
            raise MissingInput(
                f"{self.metric.name} needs {lacking[0]}, not given; {INPUTS[lacking[0]].remedy}"
            )
        return call.parts(problem) if self.metric.parts else {"": call(problem)}


class Registry(Mapping[str, Metric]):
    """Metrics by name: those of this package, those of installed packages, those registered.

    Other packages' are looked up when first one is asked for that is not here, or all are.
    """

    def __init__(self, metrics: typing.Iterable[Metric]) -> None:
        self._metrics = {metric.name: metric for metric in metrics}
        self._has_looked = False

    def register(self, metric: Metric) -> Metric:
        """Add a metric, so that specs may name it.

        Raises
        ------
        TypeError
            If it is no `Metric`.
        ValueError
            If the name is taken by another metric.
        """
        if not isinstance(metric, Metric):
            raise TypeError(f"metric must be a Metric, not {type(metric).__name__}")
        if self._metrics.setdefault(metric.name, metric) != metric:
            raise ValueError(f"name: {metric.name!r} is taken by another metric; choose another")
        return metric

    def __getitem__(self, name: str) -> Metric:
        if name not in self._metrics:
            self._look_for_more()
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
        self._look_for_more()
        return iter(sorted(self._metrics))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _look_for_more(self) -> None:
        """Register the metrics of installed packages; warn of one that does not load."""
        if self._has_looked:
            return
        self._has_looked = True
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINTS):
            try:
                self.register(point.load())
            except Exception as error:  # whatever a foreign package does at its import
                warnings.warn(
                    f"the metric {point.name!r} of {point.value} is left out: "
                    f"{type(error).__name__}: {error}",
                    RuntimeWarning,
                    stacklevel=4,
                )


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a metric spec such as ``"parc(n_components=32)"``.

    Raises
    ------
    ValueError
        If the spec is no name, or name with keyword arguments that are Python literals.
    """
    complaint = ValueError(
        f"metric {shown(spec)} is not understood; write a name, or a name with options such as "
        "'parc(n_components=32)'"
    )
    if not isinstance(spec, str):
        raise complaint
    try:
        node = ast.parse(spec.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
            options = {str(key.arg): ast.literal_eval(key.value) for key in node.keywords}
            return node.func.id, options
    except (SyntaxError, ValueError):
        pass
    raise complaint
