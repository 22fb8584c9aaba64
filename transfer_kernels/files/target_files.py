"""What is known of the target: its labels, and the models' true accuracies, read from disk."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs.arrays import as_array
from ..text.quoting import plain, several, shown
from .array_files import SUFFIXES, Pathlike, existing_file, listed, read_label_array
from .text_files import (
    Table,
    as_number,
    counts_up,
    is_gap,
    lines_of,
    read_json,
    read_rows,
    read_table,
    read_text,
    same_title,
    separator_of,
    split_hint,
)

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")

#: Titles of columns, whatever their case; the first is what messages call it.
MODEL_TITLES = ("model",)
TASK_TITLES = ("task", "target dataset", "dataset")
_LABEL_TITLES = ("label", "labels")


@dataclass(frozen=True)
class Truth:
    """True fine-tuned accuracies of a zoo and what else is known of its models, by model name.

    Attributes
    ----------
    accuracy : dict of str to float
    parameters : dict of str to float
        Parameter counts; empty where the file has none.
    layers : dict of str to float
        Numbers of layers; empty where the file has none.
    """

    accuracy: Mapping[str, float]
    parameters: Mapping[str, float] = field(default_factory=dict)
    layers: Mapping[str, float] = field(default_factory=dict)


def read_labels(path: Pathlike, *, keep_missing: bool = False) -> Any:
    """Read the labels of the target's samples.

    Parameters
    ----------
    path : str or Path
        ``.npy``; ``.npz``, ``.safetensors``, ``.pt`` or ``.pth`` with an array named ``labels`` or
        a single array; ``.json`` with a list; ``.txt`` with one label a line; ``.csv`` with a
        column titled ``label`` or ``labels``, in any case, or with a single column, with or
        without a title. Columns are parted by commas, semicolons or tabs.
        In text files, labels that are all numbers become numbers, others stay text.
    keep_missing : bool
        Whether missing labels of a text file stay, as NaN among numbers and None among texts, for
        ``ignore_label=float("nan")`` to leave out.

    Raises
    ------
    ValueError
        If the suffix is unknown, the file is damaged, it holds no labels, a label is missing, or
        lines hold more columns than the label.
    FileNotFoundError
        If there is no such file.
    """
    path = existing_file(path)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        labels = as_array(read_label_array(path), f"the labels in {plain(path)}")
    elif suffix in _LABEL_READERS:
        labels = _LABEL_READERS[suffix](path, keep_missing)
    else:
        raise ValueError(f"{plain(path)}: labels are read from {listed(LABEL_SUFFIXES)} files")
    if labels.ndim == 0:
        raise ValueError(f"{plain(path)}: holds a single number; one label per sample is needed")
    if len(labels) == 0:
        raise ValueError(f"{plain(path)}: holds no labels")
    return labels


def read_truth(path: Pathlike, dataset: str | None = None) -> Truth:
    """Read true accuracies: ``.csv`` with the columns ``model`` and ``accuracy``, or ``.json``.

    Columns named ``parameters`` and ``layers`` are kept as well, others are ignored. Titles may be
    in any case, columns parted by commas, semicolons or tabs, and numbers end in a percent sign.
    JSON is ``{"model": accuracy, ...}`` or ``{"model": {"accuracy": ..., "layers": ...}, ...}``.

    Parameters
    ----------
    path : str or Path
    dataset : str, optional
        The column of a table without ``accuracy`` that holds a column for each data set.

    Raises
    ------
    ValueError
        If the suffix is unknown, a column is missing, a model occurs twice or an accuracy is not
        a finite number.
    FileNotFoundError
        If there is no such file.
    """
    path = existing_file(path)
    table = _model_table(path, "accuracy", ("parameters", "layers"), dataset)
    accuracy = _number_column(path, table, "accuracy")
    if len(accuracy) < len(table):
        missing = next(name for name in table if name not in accuracy)
        raise ValueError(f"{plain(path)}: model {shown(missing)} has no accuracy")
    parameters, layers = (_number_column(path, table, name) for name in ("parameters", "layers"))
    return Truth(accuracy, parameters, layers)


def read_layers(path: Pathlike) -> dict[str, float]:
    """Read numbers of layers: ``.csv`` with the columns ``model`` and ``layers``, or ``.json``.

    Raises
    ------
    ValueError
        As `read_truth` does.
    """
    path = existing_file(path)
    layers = _number_column(path, _model_table(path, "layers"), "layers")
    if not layers:
        raise ValueError(f"{plain(path)}: has no column 'layers'")
    return layers


def find_companion(folder: Pathlike, name: str) -> Path | None:
    """Find the file of labels or truth beside the features: ``name`` with a suffix that fits.

    Labels are also found as ``label``; upper and lower case are the same.

    Raises
    ------
    ValueError
        If there are several.
    """
    suffixes = LABEL_SUFFIXES if name == "labels" else _TRUTH_SUFFIXES
    names = ("labels", "label") if name == "labels" else (name,)
    folder = Path(folder)
    if not folder.is_dir():
        return None
    found = sorted(
        path
        for path in folder.iterdir()
        if path.stem.lower() in names and path.suffix.lower() in suffixes and not path.is_dir()
    )
    if len(found) > 1:
        both = listed(plain(path.name) for path in found)
        raise ValueError(f"{plain(folder)}: holds {both}; name the one to use with --{name}")
    return found[0] if found else None


# ---------------------------------------------------------------------------- labels


def _labels_txt(path: Path, keep_missing: bool) -> NDArray[Any]:
    lines = [line.strip() for line in lines_of(read_text(path)) if line.strip()]
    _refuse_columns(path, lines)
    return _numbers_if_all(path, lines, keep_missing)


def _labels_csv(path: Path, keep_missing: bool) -> NDArray[Any]:
    hinted, text = split_hint(read_text(path))
    separator = hinted or separator_of(text, _LABEL_TITLES)
    if not hinted and separator != "," and not _has_title(path, text, separator):
        separator = ","
    lines = [line for line, _ in read_rows(path, text, separator)]
    rows = [row for _, row in read_rows(path, text, separator)]
    titles = [same_title(cell) for cell in rows[0]] if rows else []
    named = [i for i, title in enumerate(titles) if title in _LABEL_TITLES]
    if named:
        column, rows, lines = named[0], rows[1:], lines[1:]
    elif len(titles) == 2 and titles[0] == "" and counts_up(row[0] for row in rows[1:]):
        column, rows, lines = 1, rows[1:], lines[1:]  # as pandas writes a series
    elif len(titles) > 1:
        raise ValueError(
            f"{plain(path)}: has {len(titles)} columns and none is named 'label': the first "
            f"line reads {several(cell.strip() for cell in rows[0])}"
        )
    else:
        column = 0
    for line, row in zip(lines, rows, strict=True):
        if len(row) <= column:
            raise ValueError(f"{plain(path)}: some lines have no label, line {line} first")
    cells = [row[column].strip() for row in rows]
    if not named:
        _refuse_columns(path, cells)
    return _numbers_if_all(path, cells, keep_missing)


def _has_title(path: Path, text: str, separator: str) -> bool:
    _, first = next(read_rows(path, text, separator), (0, []))
    return any(same_title(cell) in _LABEL_TITLES for cell in first)


def _refuse_columns(path: Path, lines: list[str]) -> None:
    """Raise where lines hold more than the label: they hardly repeat, and all have columns."""
    if 2 * len(set(lines)) <= len(lines):
        return
    for delimiter in ("\t", ";", ",", None):
        columns = [line.split(delimiter) for line in lines]
        n_columns = len(columns[0])
        if n_columns > 1 and all(len(cells) == n_columns for cells in columns):
            raise ValueError(
                f"{plain(path)}: each line holds {n_columns} columns, the first "
                f"{several(cell.strip() for cell in columns[0])}; "
                "one label a line is needed, or a .csv file with a column named 'label'"
            )


def _labels_json(path: Path, keep_missing: bool) -> NDArray[Any]:
    labels = read_json(path)
    if not isinstance(labels, list):
        raise ValueError(f"{plain(path)}: a JSON list with one label per sample is needed")
    missing = [i for i, x in enumerate(labels) if x is None or x != x]
    if not keep_missing:
        _refuse_missing(path, missing, labels)
    kinds = {type(label) for label in labels}
    if kinds == {list}:
        try:
            return np.asarray(labels, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"{plain(path)}: label vectors need equally many numbers each"
            ) from None
    if kinds & {list, dict}:
        raise ValueError(
            f"{plain(path)}: labels are numbers or texts, or lists of numbers throughout"
        )
    exact = all(abs(label) <= 2**53 for label in labels if type(label) is int)
    if len(kinds) == 1 or (kinds == {int, float} and exact):
        return np.asarray(labels)
    mixed = np.empty(len(labels), dtype=object)  # or NumPy would turn 1 into the text "1"
    mixed[:] = labels
    return mixed


#: Cells that stand for no label, in lower case; "NA" and "None" may be classes.
_NO_LABEL = ("", "nan", "nat", "<na>", "n/a", "null")


def _refuse_missing(path: Path, rows: list[int], labels: Sequence[Any]) -> None:
    if rows:
        what = shown(labels[rows[0]]) if labels[rows[0]] != "" else "an empty cell"
        raise ValueError(
            f"{plain(path)}: label {rows[0]} (counted from 0) is {what}, and {len(rows)} of "
            f"{len(labels)} are missing; drop these samples, or leave them out with "
            "--ignore-label nan; from Python mark them with a number such as -1 and pass it as "
            "ignore_label"
        )


def _numbers_if_all(path: Path, texts: list[str], keep_missing: bool) -> NDArray[Any]:
    """Turn texts into integers if all are, else into finite floats if all are; "007" is a text."""
    missing = [i for i, t in enumerate(texts) if t.lower() in _NO_LABEL]
    if not missing or len(missing) == len(texts) or not keep_missing:
        _refuse_missing(path, missing, texts)
        return _numbers_or_texts(texts)
    known = np.ones(len(texts), dtype=bool)
    known[missing] = False
    labels = _numbers_or_texts([text for text, there in zip(texts, known, strict=True) if there])
    exact = labels.dtype.kind == "f" or (
        labels.dtype.kind == "i" and max(int(labels.max()), -int(labels.min())) <= 2**53
    )
    kept: NDArray[Any] = np.full(
        len(texts), math.nan if exact else None, float if exact else object
    )
    kept[known] = labels if exact else labels.tolist()
    return kept


def _numbers_or_texts(texts: Sequence[str]) -> NDArray[Any]:
    if any("_" in text for text in texts):  # Python reads 1_0 as 10
        return np.asarray(texts)
    large = [text for text in texts if _INTEGER.fullmatch(text) and abs(int(text)) > 2**53]
    if large and not all(_fits_int64(text) for text in texts):
        return np.asarray(texts)  # floats would merge them
    if any(text[:1] == "0" and text[1:2].isdigit() for text in texts):
        return np.asarray(texts)
    for kind in (np.int64, np.float64):
        try:
            numbers = np.asarray(texts).astype(kind)
        except (ValueError, OverflowError):
            continue
        if np.isfinite(numbers).all():
            return numbers
    return np.asarray(texts)


def _fits_int64(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text)) and -(2**63) <= int(text) < 2**63


# ---------------------------------------------------------------------------- tables of models

_TRUTH_SUFFIXES = (".csv", ".json")


def _model_table(
    path: Path, wanted: str, others: Sequence[str] = (), dataset: str | None = None
) -> dict[str, dict[str, float]]:
    """Read a row per model: model name to column to number; NaN, None or a text where it is none.

    ``wanted`` is the column that must be there, ``others`` may be.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        content = read_json(path)
        if not isinstance(content, dict) or not content:
            raise ValueError(f'{plain(path)}: a JSON object {{"model": {wanted}, ...}} is needed')
        return {
            name: {same_title(key): cell for key, cell in row.items()}
            if isinstance(row, dict)
            else {wanted: row}
            for name, row in content.items()
        }
    if suffix != ".csv":
        raise ValueError(
            f"{plain(path)}: tables of models are read from {listed(_TRUTH_SUFFIXES)} files"
        )
    table = read_table(path, MODEL_TITLES, filled=False)
    key = table.find(*MODEL_TITLES)
    column = table.find(wanted)
    if column is None and dataset is not None:
        column = table.find(dataset)
    if key is None:
        raise table.no_column(MODEL_TITLES[0])
    if column is None:
        raise table.no_column(wanted)
    names = table.names(key)
    places = {wanted: column, **{name: table.find(name) for name in others}}
    cells = {name: _cells(table, at) for name, at in places.items() if at is not None}
    models: dict[str, dict[str, Any]] = {}
    for row, name in enumerate(names):
        if name in models:
            raise ValueError(f"{plain(path)}: model {shown(name)} occurs twice")
        models[name] = {column: values[row] for column, values in cells.items()}
    if not models:
        raise ValueError(f"{plain(path)}: lists no model")
    return models


def _cells(table: Table, column: int) -> list[Any]:
    """Cells of a column, None where nothing is known; "nan" is what a failed run leaves."""
    texts = [text.lower() for text in table.texts(column)]
    return [
        None if is_gap(text) and text != "nan" else cell
        for text, cell in zip(texts, table.cells(column), strict=True)
    ]


def _number_column(
    path: Path, table: Mapping[str, Mapping[str, Any]], column: str
) -> dict[str, float]:
    """Return the finite numbers of a column; models without a cell there are left out."""
    numbers: dict[str, float] = {}
    for name, row in table.items():
        cell = row.get(column)
        if cell is None or cell == "":
            continue
        number = as_number(cell) if isinstance(cell, str) else cell
        try:
            numbers[name] = math.nan if number is None else float(number)
        except (TypeError, ValueError, OverflowError):
            numbers[name] = math.nan
        if not math.isfinite(numbers[name]):
            raise ValueError(
                f"{plain(path)}: {column} of model {shown(name)} is {shown(cell)}, no finite number"
            )
    return numbers


_LABEL_READERS: dict[str, Callable[[Path, bool], NDArray[Any]]] = {
    ".json": _labels_json,
    ".txt": _labels_txt,
    ".csv": _labels_csv,
}

#: Suffixes of files of labels, lower case.
LABEL_SUFFIXES = (*SUFFIXES, *_LABEL_READERS)
