"""Shows the figures: a table for people, JSON for programs, Markdown for the docs."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.rounds import Figure

MARKDOWN_HEADINGS = ("figure", "reference", "product", "ratio", "rounds", "goal")


def show(figures: Iterable[Figure]) -> None:
    table = Table(title="Product against reference: medians of rounds in turns", show_lines=True)
    table.add_column("figure", ratio=1)
    for heading in ("reference", "product", "ratio", "goal"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        name = f"{escape(figure.name)}\n[dim]against {escape(figure.reference)}[/dim]"
        table.add_row(name, *_values(figure), _ratio(figure), str(figure.goal))
    Console().print(table)


def write(figures: list[Figure], directory: Path) -> None:
    """Write `figures.json` and `figures.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "figures": [_as_json(figure) for figure in figures]}
    (directory / "figures.json").write_text(json.dumps(content, indent=2) + "\n")
    (directory / "figures.md").write_text(_markdown(figures))


def machine() -> dict[str, object]:
    """Return what the figures depend on besides the code."""
    return {
        "cores": os.cpu_count(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "python": platform.python_version(),
    }


def _values(figure: Figure) -> list[str]:
    return [f"{_short(each)} {figure.unit}" for each in figure.typical]


def _ratio(figure: Figure) -> str:
    colour = "green" if figure.met else "red"
    return f"[{colour}]{figure.ratio:.2f}[/{colour}]"


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _markdown(figures: list[Figure]) -> str:
    rows = [MARKDOWN_HEADINGS, ("---",) * len(MARKDOWN_HEADINGS), *map(_markdown_row, figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _markdown_row(figure: Figure) -> tuple[str, ...]:
    reference, product = _values(figure)
    spread = " · ".join(f"{ratio:.2f}" for ratio in figure.ratios)
    goal = f"{figure.goal}{'' if figure.met else ', missed'}"
    ratio = f"**{figure.ratio:.2f}**"
    return figure.name, f"{figure.reference}: {reference}", product, ratio, spread, goal


def _as_json(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        "reference": figure.reference,
        "unit": figure.unit,
        "goal": str(figure.goal),
        "ratio": round(figure.ratio, 3),
        "met": figure.met,
        "rounds": [
            {"reference": reference, "product": product} for reference, product in figure.pairs
        ],
    }
