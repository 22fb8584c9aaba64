"""The report and the checks of the benchmarks themselves."""

import numpy as np
import pytest

from bench import (
    bounds,
    data,
    gpu_tables,
    machine,
    markdown,
    published,
    report,
    timing,
    work,
)
from bench.data import Problem


def test_interval_holds_the_exact_parc():
    problem = Problem(700, 12, 6)
    X, y = data.make(problem)
    exact = published.parc(X.astype(np.float64), y, exact_ties=True) / 100.0
    low, high = bounds.parc_correlation_interval(X, y, block=128)
    assert low <= exact <= high
    assert high - low < 1e-4


def test_data_are_seeded_and_have_all_classes():
    problem = Problem(5_000, 24, 30, "float16")
    X, y = data.make(problem)
    np.testing.assert_array_equal(X, data.features(problem))
    assert X.dtype == np.float16 and X.shape == (5_000, 24)
    assert np.unique(y).size == 30
    other = Problem(5_000, 24, 30, "float16", seed=1)
    assert not np.array_equal(X, data.features(other))


def test_summary_takes_median_and_quantiles():
    summary = timing.summary([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (summary["p20"], summary["median"], summary["p80"]) == pytest.approx((1.8, 3.0, 4.2))
    assert summary["runs"] == 5


def test_alternate_returns_both_results():
    (ours, a), (theirs, b) = timing.alternate(lambda: "ours", lambda: "theirs", 2, 3)
    assert (a, b) == ("ours", "theirs")
    assert (ours["runs"], theirs["runs"]) == (6, 2)


def test_work_of_metrics_is_that_of_their_parts():
    assert work.logme(10, 4, 3) == 10 * 4 * 5 + 4 / 3 * 64 + 4 * 16 * 3
    assert work.parc(10, 4, None) == 10 * 9 * 4
    assert work.parc(100, 64, 8) > work.parc(100, 64, 4)


BEGIN, END = "<!-- times -->", "<!-- /times -->"


def test_blocks_of_a_page_are_replaced_and_nothing_else():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n<!-- more -->\n<!-- /more -->\n"
    tables = {"times": "| new |", "more": "| other |"}
    once = report.updated(page, tables)
    assert once == (
        f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
        "<!-- more -->\n\n| other |\n\n<!-- /more -->\n"
    )
    assert report.updated(once, tables) == once
    assert report.updated(once, {"times": "", "more": ""}) == page.replace("old\n", "")


@pytest.mark.parametrize("page", ["", BEGIN, END + BEGIN, 2 * (BEGIN + END)])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ValueError, match="README.md must have"):
        report.updated(page, {"times": "| new |"}, "README.md")


def test_summary_has_whole_metrics_each_size_once():
    tables = report.reports("table")
    assert tables
    for _, content in tables:
        shown = [row.strip("| ").split(" | ") for row in report.summary(content).splitlines()[4:]]
        whole = {(x["metric"], x["problem"]["n"]) for x in content["lines"] if "," not in x["size"]}
        assert len(shown) == len(whole) > 2
        full = [report.metric_cells(line) for line in content["lines"]]
        for name, size, plain, ours, *ratio in shown:
            found = next(cells for cells in full if cells[:2] == [name, size])
            assert found[3:5] == [plain, ours] and found[6] == "".join(ratio).strip()


def test_gpu_table_tells_what_was_measured():
    row = {
        "name": "SFDA", "size": "10 x 2", "backend": "cuda", "error": 1e-12, "extra_bytes": 5e6,
        "seconds": {"median": 0.02}, "floor_s": 0.005, "plain": None,
    }  # fmt: skip
    measured = {
        "device": {"name": "GPU", "driver": "1", "cuda": "13", "torch": "2"},
        "ceilings": {"float64_flops": 6e13, "tf32_flops": 4e14, "bytes": 4e12},
        "commit": "abc", "date": "today", "rows": [row],
    }  # fmt: skip
    text = gpu_tables.section([measured], machine.ROOT / "kernels")
    assert "| SFDA | 10 x 2 | cuda | 20.0 ms | 5.00 ms | 25 % |  | 1e-12 | 5 MB |" in text


def test_gpu_table_without_a_measurement_claims_none():
    text = gpu_tables.section([], machine.ROOT / "kernels")
    assert "None of this has run on a GPU" in text
    assert "missing" not in text
    assert text.count("unproven") == len(list((machine.ROOT / "kernels").glob("*/reference.py")))


def test_numbers_are_readable():
    assert markdown.seconds(0.01234) == "12.3 ms"
    assert markdown.seconds({"median": 0.5}) == "0.50 s"
    assert markdown.seconds(123.4) == "123 s"
    assert markdown.size_text(2.5e9) == "2.50 GB"
