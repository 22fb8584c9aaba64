"""Numbers and tables as the pages show them."""

from __future__ import annotations


def seconds(value: dict | float | None) -> str:
    """Three significant digits, in s or ms."""
    if value is None:
        return ""
    value = value["median"] if isinstance(value, dict) else value
    if value < 0.0995:
        return f"{significant(1e3 * value)} ms"
    return f"{significant(value)} s"


def significant(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def size_text(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
