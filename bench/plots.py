"""Pictures of the committed measurements: time and ratio against n, d and C, share of the peak."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

FOLDER = Path(__file__).parent / "results" / "plots"
COLOURS = {"published": "#b35806", "native": "#08519c", "numba": "#238b45"}
NAMES = {"published": "plain, published style", "native": "native (C++)", "numba": "Numba"}
AXIS_LABELS = {"n": "samples n", "d": "features d", "n_classes": "classes C"}
STYLE = {
    "svg.hashsalt": "transfer_kernels",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def draw_all(tables: list[tuple[str, dict]], sweeps: list[tuple[str, dict]]) -> Iterator[Path]:
    """Draw every picture; yields the files written."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name, content in sweeps:
            yield save(time_figure(content), content, f"{name}-time")
            yield save(ratio_figure(content), content, f"{name}-ratio")
            if any("percent_of_peak" in point for point in content["points"]):
                yield save(peak_figure(content), content, f"{name}-peak")
        for name, content in tables:
            if any(row["percent_of_peak"] for row in content["scatter"]):
                yield save(scatter_figure(content), content, f"{name}-scatter")


def save(figure, content: dict, name: str) -> Path:
    """Write as SVG, the same bytes for the same numbers, with the machine below."""
    facts = content["machine"]
    figure.text(
        0.01,
        0.005,
        f"{facts['cpu']}, {facts['threads']} threads, {facts['instruction_set'] or 'Numba only'}; "
        f"transfer_kernels {facts['versions']['transfer-kernels']} at {facts['commit']}, "
        f"NumPy {facts['versions']['numpy']}; {content['date']}",
        fontsize=7,
        color="0.35",
    )
    path = FOLDER / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def time_figure(content: dict):
    """Seconds of each metric along each axis, medians with their p20 to p80."""

    def draw(axes, series):
        for implementation, points in series.items():
            x = [point["x"] for point in points]
            times = [point["seconds"] for point in points]
            line(
                axes,
                implementation,
                x,
                [t["median"] for t in times],
                [t["p20"] for t in times],
                [t["p80"] for t in times],
            )
        axes.set_yscale("log")

    return grid(content, draw, "seconds", "Time of one score")


def ratio_figure(content: dict):
    """Published time over ours along each axis."""

    def draw(axes, series):
        rival = {point["x"]: point["seconds"] for point in series.get("published", [])}
        for implementation, points in series.items():
            shared = [point for point in points if point["x"] in rival]
            if implementation == "published" or not shared:
                continue
            pairs = [(rival[point["x"]], point["seconds"]) for point in shared]
            line(
                axes,
                implementation,
                [point["x"] for point in shared],
                [theirs["median"] / ours["median"] for theirs, ours in pairs],
                [theirs["p20"] / ours["p80"] for theirs, ours in pairs],
                [theirs["p80"] / ours["p20"] for theirs, ours in pairs],
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.axhline(1.0, color="0.5", linewidth=0.8)

    return grid(content, draw, "times as fast", "Published-style time over ours")


def peak_figure(content: dict):
    """Share of the float64 multiply-add peak along each axis, by the flops of our algorithm."""

    def draw(axes, series):
        for implementation, points in series.items():
            measured = [point for point in points if point.get("percent_of_peak")]
            if measured:
                x = [point["x"] for point in measured]
                share = [point["percent_of_peak"] for point in measured]
                middle = [point["seconds"]["median"] for point in measured]
                slow = [point["seconds"]["p80"] for point in measured]
                fast = [point["seconds"]["p20"] for point in measured]
                line(
                    axes,
                    implementation,
                    x,
                    share,
                    [s * m / t for s, m, t in zip(share, middle, slow, strict=True)],
                    [s * m / t for s, m, t in zip(share, middle, fast, strict=True)],
                )
        axes.set_ylim(0, 100)

    return grid(content, draw, "% of FMA peak", "Share of the measured multiply-add peak (float64)")


def grid(content: dict, draw, y_label: str, title: str):
    """One panel for each metric (rows) and axis (columns), and one legend for all."""
    points = content["points"]
    metrics = list(dict.fromkeys(point["metric"] for point in points))
    sweep_axes = list(dict.fromkeys(point["axis"] for point in points))
    figure, panels = plt.subplots(
        len(metrics),
        len(sweep_axes),
        figsize=(3.1 * len(sweep_axes), 2.3 * len(metrics) + 0.9),
        sharey="row",
        squeeze=False,
    )
    for metric, row in zip(metrics, panels, strict=True):
        for axis, axes in zip(sweep_axes, row, strict=True):
            chosen = [p for p in points if p["metric"] == metric and p["axis"] == axis]
            series = {}
            for point in chosen:
                entry = {**point, "x": point["problem"][axis]}
                series.setdefault(point["implementation"], []).append(entry)
            axes.set_xscale("log")
            draw(axes, series)
            ticks = sorted({point["problem"][axis] for point in chosen})
            axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.minorticks_off()
            fixed = {key: chosen[0]["problem"][key] for key in AXIS_LABELS if key != axis}
            where = ", ".join(f"{short(key)} = {value:,}" for key, value in fixed.items())
            axes.set_title(f"{metric}   {where}", fontsize=8)
            if row is panels[-1]:
                axes.set_xlabel(AXIS_LABELS[axis])
        row[0].set_ylabel(y_label)
    handles = {}
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.legend(
        handles.values(), handles.keys(), loc="upper right", ncols=len(handles), fontsize=8
    )
    figure.tight_layout(rect=(0, 0.02, 1, 0.98))
    return figure


def short(key: str) -> str:
    return "C" if key == "n_classes" else key


def tick_text(value: int) -> str:
    return f"{value // 1000}k" if value >= 1000 and value % 1000 == 0 else str(value)


def line(axes, implementation, x, middle, low, high):
    """A median with its band in the implementation's colour."""
    colour = COLOURS[implementation]
    axes.plot(x, middle, "o-", color=colour, label=NAMES[implementation], markersize=3)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def scatter_figure(content: dict):
    """Bars of the scatter's share of the peak, by input and implementation."""
    cases, shares = [], {}
    for row in content["scatter"]:
        case = row["problem"]["dtype"] + (", weighted" if row["weighted"] else "")
        if case not in cases:
            cases.append(case)
        isa = f" {row['instruction_set']}" if row["instruction_set"] else ""
        name = row["implementation"] + isa
        shares.setdefault(name, {})[case] = row["percent_of_peak"] or 0.0
    figure, axes = plt.subplots(figsize=(8, 3.4))
    width = 0.8 / len(shares)
    colours = plt.get_cmap("viridis")
    for i, (name, share) in enumerate(shares.items()):
        base = name.partition(" ")[0]
        colour = COLOURS.get(base, colours(0.6 + 0.3 * i / len(shares)))
        if base in ("numpy", "scipy"):
            colour = {"numpy": COLOURS["published"], "scipy": "#fdb863"}[base]
        left = [j + (i - (len(shares) - 1) / 2) * width for j in range(len(cases))]
        heights = [share.get(case, 0.0) for case in cases]
        alpha = 0.55 if name.endswith("baseline") else 1.0
        bars = axes.bar(left, heights, 0.92 * width, color=colour, label=name, alpha=alpha)
        axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(range(len(cases)), cases)
    axes.set_ylabel("% of FMA peak")
    axes.set_ylim(0, 100)
    axes.grid(axis="x", visible=False)
    problem = content["scatter"][0]["problem"]
    figure.suptitle(
        f"fisher_scatter, {problem['n']:,} × {problem['d']}, beside BLAS "
        "(share of the float64 peak of its instruction set)",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    figure.legend(loc="upper left", ncols=len(shares), fontsize=8, bbox_to_anchor=(0.0, 0.94))
    figure.tight_layout(rect=(0, 0.03, 1, 0.92))
    return figure
