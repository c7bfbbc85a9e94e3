"""Tells the benchmark when tasks ran, at the price of one small write to memory or to a file."""

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

#: Runs counted, then the first and the newest moment, in nanoseconds of the wall clock.
SLOT = struct.Struct("qqq")

#: Names the directory that worker children write to; unset in processes that measure nothing.
DIRECTORY = "BENCH_TICKS"


class _Slot:
    """One process's counter, in memory that the benchmark can read."""

    def __init__(self) -> None:
        path = Path(os.environ[DIRECTORY]) / str(os.getpid())
        path.write_bytes(bytes(SLOT.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SLOT.size)
        self.pid = os.getpid()

    def tick(self) -> None:
        now = time.time_ns()
        count, first, _ = SLOT.unpack_from(self._memory)
        SLOT.pack_into(self._memory, 0, count + 1, first or now, now)


_slot: _Slot | None = None


def tick() -> None:
    """Count one run of a task in this process."""
    global _slot
    if _slot is None or _slot.pid != os.getpid():
        _slot = _Slot()
    _slot.tick()


def note(label: str) -> None:
    """Write down that `label` has begun now, on this process's first line of the task."""
    now = time.time_ns()
    path = Path(os.environ[DIRECTORY]) / f"notes.{os.getpid()}"
    with path.open("a") as file:
        file.write(f"{label} {now}\n")


@dataclass(frozen=True)
class Tally:
    """What all processes have counted so far."""

    count: int
    first: float
    last: float


class Ticks:
    """The benchmark's end: reads what the children wrote."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory

    def tally(self) -> Tally:
        slots = [SLOT.unpack(path.read_bytes()) for path in self.directory.glob("[0-9]*")]
        used = [slot for slot in slots if slot[0]]
        if not used:
            return Tally(0, 0, 0)
        counts, firsts, lasts = zip(*used, strict=True)
        return Tally(sum(counts), min(firsts) / 1e9, max(lasts) / 1e9)

    def reset(self) -> None:
        """Start counting again; only while no task runs."""
        for path in self.directory.glob("[0-9]*"):
            with path.open("r+b") as file:
                file.write(bytes(SLOT.size))
        for path in self.directory.glob("notes.*"):
            path.unlink()

    def notes(self) -> dict[str, float]:
        """Return when each label began, in seconds of the wall clock."""
        begun = {}
        for path in self.directory.glob("notes.*"):
            for line in path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):  # Else it is still being written.
                    label, moment = line.split()
                    begun[label] = int(moment) / 1e9
        return begun
