"""What the tour shows: numbered chapters, steps with their time, bars on a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

LINE_MAX_CHARACTERS = 160


class Screen:
    """Colours and bars on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            # A terminal that can't show a shop's é or 🎉 must not end the tour.
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
        self._console = Console(highlight=False, soft_wrap=True, emoji=False)
        self._started = time.monotonic()
        self._chapters = 0

    @property
    def seconds(self) -> float:
        """Since the tour began."""
        return time.monotonic() - self._started

    def chapter(self, title: str) -> None:
        self._chapters += 1
        self._console.print(f"\n{self._chapters}. {title}", style="bold", markup=False)

    def say(self, text: str) -> None:
        self._console.print(f"   {text}", markup=False)

    def quote(self, text: str) -> None:
        """Show a line of a file, cut to the width of a page."""
        shown = text if len(text) <= LINE_MAX_CHARACTERS else f"{text[:LINE_MAX_CHARACTERS]}…"
        self._console.print(f"   | {shown}", style="dim", markup=False)

    def result(self, seconds: float, text: str) -> None:
        """Tell what a step has brought and how long it took."""
        self._console.print(f"   {seconds:6.2f} s  {text}", markup=False)

    @contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Time a block; what it puts into the list is its result."""
        words: list[str] = []
        started = time.monotonic()
        yield words
        self.result(time.monotonic() - started, " ".join([text, *words]))

    @contextmanager
    def bar(self, title: str) -> Iterator["Bar"]:
        """Show a bar while the block runs; nothing where there is no terminal."""
        columns = (TextColumn(f"            {title}"), BarColumn(), MofNCompleteColumn())
        hidden = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=hidden) as progress:
            yield Bar(progress)


class Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def show(self, done: int, total: int | None) -> None:
        self._progress.update(self._task, completed=done, total=total)
