"""Shows the figures: a table for people, JSON for programs, Markdown for the docs."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.rounds import Figure

HEADINGS = ("figure", "reference", "reference's", "product's", "unit", "ratio", "rounds", "goal", "met")


def show(figures: Iterable[Figure]) -> None:
    table = Table(*HEADINGS, title="Product against reference, medians of alternating rounds")
    for figure in figures:
        table.add_row(*_cells(figure), style=None if figure.met else "yellow")
    Console().print(table)


def write(figures: list[Figure], directory: Path) -> None:
    """Write `figures.json` and `figures.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), "figures": [_as_json(figure) for figure in figures]}
    (directory / "figures.json").write_text(json.dumps(content, indent=2) + "\n")
    (directory / "figures.md").write_text(_markdown(figures))


def machine() -> dict[str, object]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def _cells(figure: Figure) -> list[str]:
    reference, product = figure.typical
    spread = f"{min(figure.ratios):.2f} - {max(figure.ratios):.2f}"
    return [
        figure.name,
        figure.reference,
        f"{reference:,.3g}" if reference < 100 else f"{reference:,.0f}",
        f"{product:,.3g}" if product < 100 else f"{product:,.0f}",
        figure.unit,
        f"{figure.ratio:.2f}",
        spread,
        str(figure.goal),
        "yes" if figure.met else "no",
    ]


def _markdown(figures: list[Figure]) -> str:
    rows = [HEADINGS, ("---",) * len(HEADINGS), *map(_cells, figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


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
