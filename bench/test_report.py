"""The report and the checks of the benchmarks themselves."""

import numpy as np
import pytest

from bench import bounds, data, published, report, timing, work
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


def test_readme_block_is_replaced_and_nothing_else():
    readme = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.updated(readme, "| new |")
    assert once == f"before\n{report.BEGIN}\n\n| new |\n\n{report.END}\nafter\n"
    assert report.updated(once, "| new |") == once
    assert report.updated(once, "") == f"before\n{report.BEGIN}\n{report.END}\nafter\n"


@pytest.mark.parametrize(
    "readme", ["", report.BEGIN, report.END + report.BEGIN, 2 * (report.BEGIN + report.END)]
)
def test_readme_without_its_markers_is_refused(readme):
    with pytest.raises(ValueError, match="README.md must have"):
        report.updated(readme, "| new |")


def test_numbers_are_readable():
    assert report.seconds(0.01234) == "12.3 ms"
    assert report.seconds({"median": 0.5}) == "0.50 s"
    assert report.seconds(123.4) == "123 s"
    assert report.size_text(2.5e9) == "2.50 GB"
