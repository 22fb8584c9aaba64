"""Named inputs: what models give, what targets give, how each is checked; the one table of them.

A field of one of the two records below is a named input: its metadata say all that the package
knows of it. Metrics name those they need, and read them checked from `CheckedInputs`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np

from ..kernels.array_namespace import array_namespace, beside, is_tensor, on_host
from ..text.quoting import plain, shown
from . import arrays

#: How far a row of probabilities may sum from 1: what rounding to 16 bits leaves.
SUM_TOLERANCE = 1e-3

#: Rows that are looked at for NaN and infinity at a time.
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Extent:
    """What the shape of an input is held against: the samples given, the classes among them."""

    n_samples: int
    n_classes: Callable[[], int]

    @classmethod
    def of_labels(cls, labels: np.ndarray, kept: np.ndarray | None) -> Extent:
        """Of all labels that were given; the classes are those of the samples that are kept."""
        return cls(len(labels), partial(_count_classes, labels, kept))


def _count_classes(labels: np.ndarray, kept: np.ndarray | None) -> int:
    return len(arrays.encode_classes(labels if kept is None else labels[kept])[0])


@dataclass(frozen=True)
class NamedInput:
    """What the package knows of one named input.

    Parameters
    ----------
    check : callable
        ``check(value, name, extent)`` gives the value as metrics take it, or raises a TypeError or
        ValueError that names it.
    summary : str
        What it is, in half a line.
    keys : tuple of str
        The arrays of a feature file that make it up; the input's own name if there are none.
    per_sample : bool
        Whether it has a row for each of the target's samples. Where one that has so many rows as
        there are samples need not, they are taken for samples.
    name, owner : str
        Its name, and whether the "model" or the "target" gives it: filled in from the record.
    """

    check: Callable[[Any, str, Extent], Any]
    summary: str
    keys: tuple[str, ...] = ()
    per_sample: bool = True
    name: str = ""
    owner: str = ""

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays of a file that make it up."""
        return self.keys or (self.name,)

    @property
    def remedy(self) -> str:
        """How to give it."""
        if self.owner == "target":
            return f"pass {self.name}="
        return f"pass ModelOutputs(..., {self.name}=...)"


class MissingInputWarning(UserWarning):
    """A metric needs an input that was not given, so that there is no score."""


class MissingInput(ValueError):
    """An input that was not given is asked for."""


# ------------------------------------------------------------------------------- checks


def _features(value: Any, name: str, extent: Extent) -> Any:
    array = arrays.as_features(value, name)
    arrays.require_length(array, extent.n_samples, name)
    arrays.refuse_nonfinite(_first_nonfinite(array), array, name)
    return array


def _general(value: Any, name: str, extent: Extent) -> Any:
    array = arrays.as_features(value, name)
    arrays.refuse_nonfinite(_first_nonfinite(array), array, name)
    return array


def _posteriors(value: Any, name: str, extent: Extent) -> Any:
    sparse = _as_csr(value, name)
    theta = arrays.as_features(value, name) if sparse is None else sparse
    if theta.shape[0] != extent.n_samples:
        raise ValueError(
            f"{name} must have a row for each of the {extent.n_samples} samples, but have shape "
            f"{tuple(theta.shape)}"
        )
    if sparse is None:
        sums = theta.sum(axis=1, dtype=array_namespace(theta).float64)
        lowest = float(theta.min())
    else:
        sums = np.asarray(sparse.sum(axis=1, dtype=np.float64)).ravel()
        lowest = float(sparse.data.min(initial=0.0))
    if not lowest >= 0.0 or not bool((abs(sums - 1.0) <= SUM_TOLERANCE).all()):
        raise ValueError(_why_no_probabilities(theta, sums, name))
    return theta


def _why_no_probabilities(theta: Any, sums: Any, name: str) -> str:
    """Tell of the first row that is wrong."""
    wrong_sum = ~(np.abs(on_host(sums) - 1.0) <= SUM_TOLERANCE)
    if hasattr(theta, "tocsr"):
        places = np.flatnonzero(~(theta.data >= 0.0))
        rows = np.searchsorted(theta.indptr, places, side="right") - 1
        values, columns = theta.data[places], theta.indices[places]
    else:
        rows, columns = np.nonzero(on_host(~(theta >= 0.0)))
        values = theta[rows[:1], columns[:1]]
    first = int(np.argmax(wrong_sum)) if wrong_sum.any() else theta.shape[0]
    if len(rows) and rows[0] <= first:
        what = f"{float(values[0])} at row {rows[0]}, column {columns[0]}"
    else:
        what = f"row {first} sums to {float(sums[first]):.6g} and not to 1"
    return f"{name} are no probabilities: {what}; pass the softmax of the source head's outputs"


def _as_csr(value: Any, name: str) -> Any:
    """A SciPy sparse array or matrix in rows, real, each entry once; None for all else."""
    sparse = sys.modules.get("scipy.sparse")
    if sparse is None or not sparse.issparse(value):
        return None
    if value.ndim != 2 or 0 in value.shape:
        raise ValueError(
            f"{name} must be two-dimensional and not empty, not of shape {value.shape}"
        )
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} has dtype {value.dtype}, but real numbers are needed")
    rows = value.tocsr()
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    if not rows.has_canonical_format:
        rows = rows.copy() if rows is value else rows
        rows.sum_duplicates()
    return rows


def _source(value: Any, name: str, extent: Extent) -> tuple[Any, np.ndarray]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(
            f"{name} must be a pair (features, labels) of samples of the source data set, not "
            f"{type(value).__name__}"
        )
    features = arrays.as_features(value[0], f"{name} features")
    arrays.refuse_nonfinite(_first_nonfinite(features), features, f"{name} features")
    labels = arrays.as_labels(value[1], len(features), f"{name} labels")
    arrays.refuse_missing(labels, f"{name} labels", remedy="drop these samples")
    return features, labels


def _label_embeddings(value: Any, name: str, extent: Extent) -> Any:
    array = arrays.as_operand(value, name, ("C", "D", "K"))
    # Labels of embeddings of samples need not be classes.
    if len(array) != extent.n_samples and len(array) != (n_classes := extent.n_classes()):
        raise ValueError(
            f"{name} must have a row for each of the {n_classes} classes, in the order of "
            f"np.unique(labels), or for each of the {extent.n_samples} samples, but have shape "
            f"{tuple(array.shape)}"
        )
    if not bool(array_namespace(array).isfinite(array).all()):
        raise ValueError(f"{name} of shape {tuple(array.shape)} contain NaN or infinity")
    return array


def _first_nonfinite(array: Any) -> tuple[int, int] | None:
    xp = array_namespace(array)
    for start in range(0, len(array), _BLOCK_ROWS):
        finite = xp.isfinite(array[start : start + _BLOCK_ROWS])
        if not bool(finite.all()):
            row, column = divmod(int(np.argmin(on_host(finite))), int(array.shape[1]))
            return start + row, column
    return None


# ------------------------------------------------------------------------------- the table


def _named(check: Callable[[Any, str, Extent], Any], summary: str, **more: Any) -> Any:
    return field(default=None, metadata={"input": NamedInput(check, summary, **more)})


@dataclass(frozen=True, eq=False, repr=False)
class ModelOutputs:
    """What one model gives for the target's samples; taken wherever features are.

    Parameters
    ----------
    features : (n, d) array or tensor, optional
        Features of the target's samples.
    posteriors : (n, Z) array, tensor or SciPy sparse matrix, optional
        Probabilities that the head of the model's source task gives the target's samples. Rows sum
        to 1 within 1e-3.
    source : pair of (m, d) array or tensor and (m,) array or list, optional
        Features and labels of samples of the source data set.
    general : (m, d) array or tensor, optional
        The model's features of general data, such as ImageNet's, the same for every target.

    Raises
    ------
    ValueError
        If nothing is given that has a row for each sample, or the numbers of rows differ. Values
        are checked when a metric first needs them.

    Examples
    --------
    >>> import numpy as np
    >>> ModelOutputs(np.eye(6, 3), posteriors=np.full((6, 4), 0.25))
    ModelOutputs(features=(6, 3) float64, posteriors=(6, 4) float64)
    """

    features: Any = _named(_features, "features (n, d) of the target's samples")
    posteriors: Any = _named(
        _posteriors, "probabilities (n, Z) of the source head for the target's samples"
    )
    source: Any = _named(
        _source,
        "features and labels of samples of the source data set",
        keys=("source_features", "source_labels"),
        per_sample=False,
    )
    general: Any = _named(
        _general, "features (m, d) of general data, such as ImageNet's", per_sample=False
    )

    def __post_init__(self) -> None:
        given = _given(self)
        object.__setattr__(self, "_held", given)
        if given.keys() == {"features"}:
            return
        if not self._sizes() and self.features is None:
            names = [name for name, named in MODEL_INPUTS.items() if named.per_sample]
            raise ValueError(
                f"ModelOutputs: {', '.join(names[:-1])} or {names[-1]} is needed, which has a row "
                "for each sample of the target"
            )
        sizes = self._sizes()
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{n} of {name}" for name, n in sizes.items())
            raise ValueError(
                f"ModelOutputs: all inputs need a row for each sample, but the rows are {found}"
            )

    def _sizes(self) -> dict[str, int]:
        return {
            name: size
            for name, value in self.given.items()
            if MODEL_INPUTS[name].per_sample and (size := _rows(value)) is not None
        }

    @property
    def given(self) -> dict[str, Any]:
        """Name to value of the inputs that are there."""
        return dict(self.__dict__["_held"])

    def only(self, names: Collection[str]) -> ModelOutputs:
        """The same with these inputs alone; one with a row for each sample stays in any case."""
        given = self.given
        kept = {name: value for name, value in given.items() if name in names}
        if not any(MODEL_INPUTS[name].per_sample for name in kept):
            kept[self._first_name] = self.first
        return self if len(kept) == len(given) else ModelOutputs(**kept)

    @property
    def first(self) -> Any:
        """The first input that has a row for each sample: its device is the model's."""
        return self.given[self._first_name]

    @property
    def _first_name(self) -> str:
        given = self.given
        return next(name for name in given if MODEL_INPUTS[name].per_sample)

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return next(iter(self._sizes().values()))

    def moved_to(self, device: str) -> ModelOutputs:
        """The same with its first input on a device; the others follow when they are used."""
        moved = arrays.moved_to(device, self.first)
        return ModelOutputs(**{**self.given, self._first_name: moved})

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name}={_shape(value)}" for name, value in self.given.items())
        return f"ModelOutputs({shapes})"


@dataclass(frozen=True, eq=False)
class TargetInputs:
    """What the target gives besides its labels: arguments of ``score`` and ``rank``."""

    label_embeddings: Any = _named(
        _label_embeddings,
        "embeddings (C, D, K) of the classes' names by K language models, or (n, D, K)",
    )
    reference: Any = _named(
        _features, "features (n, r) of the samples by a model trained on the target"
    )

    @property
    def given(self) -> dict[str, Any]:
        """Name to value of the inputs that are there."""
        return _given(self)


def _table(record: type, owner: str) -> dict[str, NamedInput]:
    return {
        entry.name: NamedInput(
            **{**vars(entry.metadata["input"]), "name": entry.name, "owner": owner}
        )
        for entry in fields(record)
    }


#: Name to what is known of it, of what models give, of what targets give, and of both.
MODEL_INPUTS = _table(ModelOutputs, "model")
TARGET_INPUTS = _table(TargetInputs, "target")
INPUTS = {**MODEL_INPUTS, **TARGET_INPUTS}


def _given(record: Any) -> dict[str, Any]:
    held = vars(record)
    return {n: v for n in record.__dataclass_fields__ if (v := held[n]) is not None}


def _rows(value: Any) -> int | None:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    return len(value) if hasattr(value, "__len__") else None


def _shape(value: Any) -> str:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return f"({', '.join(_shape(part) for part in value)})"
    if not hasattr(value, "shape"):
        return type(value).__name__
    return f"{tuple(value.shape)} {plain(str(getattr(value, 'dtype', '')), 40)}".strip()


def as_outputs(features: Any) -> ModelOutputs:
    """A model's outputs, of features alone where they are no record yet."""
    return features if isinstance(features, ModelOutputs) else ModelOutputs(features)


def features_of(value: Any) -> Any:
    """The features of a `ModelOutputs`, None where it has none; anything else as it is."""
    return value.features if isinstance(value, ModelOutputs) else value


def checked_target_inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those inputs of a target that are not None.

    Raises
    ------
    TypeError
        If one is no named input of a target.
    """
    if not given:
        return {}
    for name in given:
        if name not in TARGET_INPUTS:
            known = ", ".join(TARGET_INPUTS)
            raise TypeError(f"{shown(name)} is no argument; inputs of the target are {known}")
    return TargetInputs(**given).given


class CheckedInputs:
    """The inputs of one model and its target as attributes, each checked when it is first read.

    They lie beside the features: on their device, but for sparse posteriors, which stay as they
    are, and the labels of the source. Samples that are left out are left out of them.

    Parameters
    ----------
    given : mapping of str to object
        Name to value as the user gave it.
    extent : Extent
        Of all samples that were given.
    device : array or tensor
        Beside which the inputs are put.
    kept : (m,) int array, optional
        Which samples stay, of all but the features, which are as they shall be.
    """

    def __init__(
        self,
        given: Mapping[str, Any],
        extent: Extent,
        device: Any,
        kept: np.ndarray | None = None,
    ) -> None:
        self._raw = dict(given)
        self._extent = extent
        self._device = device
        self._kept = kept
        if "features" in given:
            self.__dict__["features"] = given["features"]

    @property
    def given(self) -> frozenset[str]:
        """Names of the inputs that are there."""
        return frozenset(self._raw)

    def lacking(self, needs: Collection[str]) -> list[str]:
        """Those names of ``needs`` that are not there, in the order of the table."""
        return [name for name in INPUTS if name in needs and name not in self._raw]

    def __getattr__(self, name: str) -> Any:
        if name not in INPUTS:
            raise AttributeError(f"{name!r} is no input; there are {', '.join(INPUTS)}")
        if name not in self._raw:
            raise MissingInput(f"{name} needed, but not given; {INPUTS[name].remedy}")
        named = INPUTS[name]
        value = named.check(self._raw[name], name, self._extent)
        if isinstance(value, tuple):
            value = (self._beside(value[0]), *value[1:])
        elif not hasattr(value, "tocsr"):
            value = self._beside(value)
        if self._kept is not None and named.per_sample and _rows(value) == self._extent.n_samples:
            value = value[self._kept if hasattr(value, "tocsr") else beside(value, self._kept)]
        self.__dict__[name] = value
        return value

    def _beside(self, value: Any) -> Any:
        if is_tensor(self._device) and not is_tensor(value):
            # PyTorch would warn of read-only memory, but nothing here writes to inputs.
            value = np.require(value, requirements=("C", "W"))
        return beside(self._device, value)

    def with_features(self, features: Any) -> CheckedInputs:
        """The same with other features of the same samples."""
        other = object.__new__(CheckedInputs)
        other.__dict__.update(self.__dict__, features=features)
        other._raw = {**self._raw, "features": features}
        return other
