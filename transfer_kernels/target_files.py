"""What is known of the target: its labels, and the models' true accuracies, read from disk."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .feature_files import Pathlike, existing_file, listed, map_npy, npz_member, open_npz

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")


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


def read_labels(path: Pathlike) -> Any:
    """Read the labels of the target's samples.

    Parameters
    ----------
    path : str or Path
        ``.npy``; ``.npz`` with an array named ``labels`` or a single array; ``.json`` with a
        list; ``.txt`` with one label a line; ``.csv`` with a column named ``label`` or
        ``labels``, or with a single column, with or without a title.
        In text files, labels that are all numbers become numbers, others stay text.

    Raises
    ------
    ValueError
        If the suffix is unknown, the file is damaged, it holds no labels, a label is missing, or
        lines hold more columns than the label.
    FileNotFoundError
        If there is no such file.
    """
    path = existing_file(path)
    reader = _LABEL_READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: labels are read from {listed(_LABEL_READERS)} files")
    labels = reader(path)
    if len(labels) == 0:
        raise ValueError(f"{path}: holds no labels")
    return labels


def read_truth(path: Pathlike) -> Truth:
    """Read true accuracies: ``.csv`` with the columns ``model`` and ``accuracy``, or ``.json``.

    Columns named ``parameters`` and ``layers`` are kept as well, others are ignored. JSON is
    ``{"model": accuracy, ...}`` or ``{"model": {"accuracy": ..., "parameters": ...}, ...}``.

    Raises
    ------
    ValueError
        If the suffix is unknown, a column is missing, a model occurs twice or an accuracy is not
        a finite number.
    FileNotFoundError
        If there is no such file.
    """
    path = existing_file(path)
    table = _model_table(path, default_column="accuracy")
    accuracy = _number_column(path, table, "accuracy")
    if len(accuracy) < len(table):
        missing = next(name for name in table if name not in accuracy)
        raise ValueError(f"{path}: model {missing!r} has no accuracy")
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
    layers = _number_column(path, _model_table(path, default_column="layers"), "layers")
    if not layers:
        raise ValueError(f"{path}: has no column 'layers'")
    return layers


def find_companion(folder: Pathlike, name: str) -> Path | None:
    """Find the file of labels or truth beside the features: ``name`` with a suffix that fits.

    Raises
    ------
    ValueError
        If there are several.
    """
    suffixes = _LABEL_READERS if name == "labels" else _TRUTH_SUFFIXES
    found = [path for suffix in suffixes if (path := Path(folder) / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        both = " and ".join(path.name for path in found)
        raise ValueError(f"{folder}: holds {both}; name the one to use with --{name}")
    return found[0] if found else None


# ---------------------------------------------------------------------------- labels


def _labels_npz(path: Path) -> NDArray[Any]:
    with open_npz(path) as archive:
        names = archive.files
        if "labels" not in names and len(names) != 1:
            raise ValueError(f"{path}: holds {', '.join(map(repr, names))}; name one 'labels'")
        return npz_member(path, archive, "labels" if "labels" in names else names[0])


def _labels_txt(path: Path) -> NDArray[Any]:
    lines = [line.strip() for line in _text(path).splitlines() if line.strip()]
    _refuse_columns(path, lines)
    return _numbers_if_all(path, lines)


def _labels_csv(path: Path) -> NDArray[Any]:
    rows = [row for row in csv.reader(_text(path).splitlines()) if row]
    rows = _split_otherwise(rows)
    titles = [cell.strip().lower() for cell in rows[0]] if rows else []
    named = [i for i, title in enumerate(titles) if title in ("label", "labels")]
    if named:
        column, rows = named[0], rows[1:]
    elif len(titles) > 1:
        raise ValueError(
            f"{path}: has {len(titles)} columns and none is named 'label': the first "
            f"line reads {_quoted(rows[0])}"
        )
    else:
        column = 0
    if any(len(row) <= column for row in rows):
        raise ValueError(f"{path}: some lines have no label")
    cells = [row[column].strip() for row in rows]
    if not named:
        _refuse_columns(path, cells)
    return _numbers_if_all(path, cells)


def _split_otherwise(rows: list[list[str]]) -> list[list[str]]:
    """Split lines at semicolons or tabs, where the titles show that these part the columns."""
    if not rows or len(rows[0]) != 1:
        return rows
    for delimiter in ";\t":
        titles = [title.strip().lower() for title in rows[0][0].split(delimiter)]
        if len(titles) > 1 and {"label", "labels"} & set(titles):
            return list(csv.reader([",".join(row) for row in rows], delimiter=delimiter))
    return rows


def _refuse_columns(path: Path, lines: list[str]) -> None:
    """Raise where lines hold more than the label: they hardly repeat, and all have columns."""
    if 2 * len(set(lines)) <= len(lines):
        return
    for delimiter in ("\t", ";", ",", None):
        columns = [line.split(delimiter) for line in lines]
        n_columns = len(columns[0])
        if n_columns > 1 and all(len(cells) == n_columns for cells in columns):
            raise ValueError(
                f"{path}: each line holds {n_columns} columns, the first {_quoted(columns[0])}; "
                "one label a line is needed, or a .csv file with a column named 'label'"
            )


def _quoted(cells: list[str], longest: int = 40) -> str:
    """Quote the first cells, cut where they are long."""
    shown = [repr(c.strip() if len(c) <= longest else c[:longest] + "...") for c in cells[:6]]
    return ", ".join(shown) + (", ..." if len(cells) > 6 else "")


def _labels_json(path: Path) -> Any:
    labels = _json(path)
    if not isinstance(labels, list):
        raise ValueError(f"{path}: a JSON list with one label per sample is needed")
    _refuse_missing(path, [i for i, x in enumerate(labels) if x is None or x != x], labels)
    kinds = {type(label) for label in labels}
    if kinds == {list}:
        try:
            return np.asarray(labels, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{path}: label vectors need equally many numbers each") from None
    if kinds & {list, dict}:
        raise ValueError(f"{path}: labels are numbers or texts, or lists of numbers throughout")
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
        what = repr(labels[rows[0]]) if labels[rows[0]] != "" else "an empty cell"
        raise ValueError(
            f"{path}: label {rows[0]} (counted from 0) is {what}, and {len(rows)} of {len(labels)} "
            "are missing; drop these samples, or mark them with a number such as -1 and pass it "
            "as ignore_label"
        )


def _numbers_if_all(path: Path, texts: Sequence[str]) -> NDArray[Any]:
    """Turn texts into integers if all are, else into finite floats if all are; "007" is a text."""
    _refuse_missing(path, [i for i, t in enumerate(texts) if t.lower() in _NO_LABEL], texts)
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


def _model_table(path: Path, default_column: str) -> dict[str, dict[str, Any]]:
    """Read a row per model: model name to column to cell."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        content = _json(path)
        if not isinstance(content, dict) or not content:
            raise ValueError(f'{path}: a JSON object {{"model": {default_column}, ...}} is needed')
        return {
            name: row if isinstance(row, dict) else {default_column: row}
            for name, row in content.items()
        }
    if suffix != ".csv":
        raise ValueError(f"{path}: tables of models are read from {listed(_TRUTH_SUFFIXES)} files")
    reader = csv.DictReader(_text(path).splitlines(), skipinitialspace=True)
    for column in ("model", default_column):
        if column not in (reader.fieldnames or ()):
            raise ValueError(
                f"{path}: has no column {column!r}; its first line must name 'model' and "
                f"{default_column!r}"
            )
    table: dict[str, dict[str, Any]] = {}
    for row in reader:
        if row["model"] in table:
            raise ValueError(f"{path}: model {row['model']!r} occurs twice")
        table[row["model"]] = row
    if not table:
        raise ValueError(f"{path}: lists no model")
    return table


def _number_column(
    path: Path, table: Mapping[str, Mapping[str, Any]], column: str
) -> dict[str, float]:
    """Return the finite numbers of a column; models without a cell there are left out."""
    numbers: dict[str, float] = {}
    for name, row in table.items():
        cell = row.get(column)
        if cell is None or cell == "":
            continue
        try:
            numbers[name] = float(cell)
        except (TypeError, ValueError):
            numbers[name] = math.nan
        if not math.isfinite(numbers[name]):
            raise ValueError(f"{path}: {column} of model {name!r} is {cell!r}, no finite number")
    return numbers


# ---------------------------------------------------------------------------- helpers


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not UTF-8 text") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is no valid JSON ({error})") from None


_LABEL_READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": map_npy,
    ".npz": _labels_npz,
    ".json": _labels_json,
    ".txt": _labels_txt,
    ".csv": _labels_csv,
}
