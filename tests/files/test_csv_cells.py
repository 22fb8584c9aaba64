"""CSV cells: no formula, right quoting, and every name restored by our reader and plain ones."""

import csv
import io
import math
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transfer_kernels.files.csv_cells import _SPACES, csv_text, restored, written
from transfer_kernels.files.target_files import read_truth
from transfer_kernels.recommend import TransferHistory
from transfer_kernels.zoo.ranking import ModelScores, Ranking

PIECES = st.sampled_from(
    [
        *"=+-@'\"\t\r\n ,;\\\0é",
        "\\u0020",
        "\\udcff",
        "\udcff",
        "\u2028",
        "\x85",
        "u0000",
        "1",
        "e5",
        "nan",
    ]
)
NAMES = st.lists(PIECES, min_size=1, max_size=8).map("".join) | st.text(min_size=1, max_size=12)


@settings(max_examples=500, deadline=None)
@given(NAMES)
@example("\\\udcff")
@example("\\\\ ")
@example("\\u0020")
@example("'=x")
@example("''=x")
@example("'-1")
@example("-1")
@example("\ud83d\ude00")
def test_a_cell_is_restored(name):
    cell = written(name)
    assert restored(cell) == name
    assert cell == cell.strip() and "\0" not in cell
    cell.encode()  # valid UTF-8
    assert cell[0] not in "=+-@" or math.isfinite(float(cell))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(NAMES, min_size=2, max_size=2), min_size=1, max_size=4))
def test_any_reader_parts_the_cells(rows):
    found = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert [[restored(cell) for cell in row] for row in found] == rows


def test_all_spaces_are_known():
    assert set(_SPACES) == {c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()}


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", '"', "a;b", "a\tb"])
def test_usual_names_stay_as_they_are_for_other_readers(name):
    (row,) = csv.reader(io.StringIO(csv_text([[name, "x"]]), newline=""))
    assert row == [name, "x"]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+cmd", "'+1+cmd"),
        ("-x", "'-x"),
        ("\t=1", "\\u0009=1"),
        ("\r=1", "\\u000d=1"),
        (" =1", "\\u0020=1"),
        ("-0.5", "-0.5"),
        ("+3e5", "+3e5"),
        ("resnet-50", "resnet-50"),
        ("it's", "it's"),
        ("'quoted'", "'quoted'"),
    ],
)
def test_what_a_spreadsheet_sees(name, cell):
    assert written(name) == cell and restored(cell) == name


def usable(names):
    """Names that a table of models can have: not empty, no two alike."""
    return st.lists(names, min_size=2, max_size=4, unique=True)


@settings(max_examples=100, deadline=None)
@given(usable(NAMES), usable(NAMES))
def test_a_transfer_table_is_read_as_it_was(tmp_path_factory, models, tasks):
    folder = tmp_path_factory.mktemp("table")
    known = {"model", "parameters", "layers"}
    tasks = [task if task.strip().casefold() not in known else f"x{task}" for task in tasks]
    values = np.linspace(-1, 1, len(models) * len(tasks)).reshape(len(models), len(tasks))
    try:
        history = TransferHistory(models, tasks, values)
    except ValueError:
        return
    history.to_csv(folder / "table.csv")
    found = TransferHistory.read_csv(folder / "table.csv")
    assert found.models == tuple(models)
    assert found.tasks == tuple(tasks)
    np.testing.assert_array_equal(found.performance, values)


@settings(max_examples=100, deadline=None)
@given(usable(NAMES))
def test_the_models_of_a_ranking_are_read_as_they_were(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("scores")
    rows = [
        ModelScores(m, {"accuracy": float(-i)}, {"accuracy": 0.1}) for i, m in enumerate(models)
    ]
    Ranking(rows, ["accuracy"]).to_csv(folder / "scores.csv")
    assert list(read_truth(folder / "scores.csv").accuracy) == models
