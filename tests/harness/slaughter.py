"""Kills workers of exports in the middle of what they do, at points that a seed has chosen."""

import os
import random
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exports.workflows import ASSEMBLE, PLAN, WRITE
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.waiting import wait_for

#: A safety net: a point is reached, and somebody works then, within seconds.
SECONDS = 180

RUNNING = """
    SELECT worker FROM jobs_job
     WHERE queue = 'exports' AND state = 'running' AND lease_until > now() ORDER BY id"""

REACHED = """
    SELECT step_number > %s OR step_number = %s AND %s <=
           (SELECT count(*) FROM jobs_workflowstep AS step
             WHERE step.workflow_id = workflow.id AND step.number = %s AND step.status = 'done')
      FROM jobs_workflow AS workflow WHERE id = %s"""


@dataclass(frozen=True)
class Point:
    """Where in a workflow: at this step, when so many of its branches are done, and a bit later."""

    step: int
    done: int
    seconds: float
    whole_group: bool


def choose_points(seed: int, *, count: int, parts: int) -> list[Point]:
    """Return points in the order of a workflow: one while it plans, a tenth while it assembles."""
    chance = random.Random(seed)  # noqa: S311 - a plan that a failed run can be repeated by
    late = max(1, count // 10)
    middle = sorted(chance.sample(range(parts), count - 1 - late))
    places = [(PLAN, 0), *((WRITE, done) for done in middle), *[(ASSEMBLE, 0)] * late]
    return [
        Point(step, done, chance.uniform(0, 0.3), chance.random() < 0.5) for step, done in places
    ]


@dataclass
class Slaughter:
    """Worker groups of which one is killed at each point; a dead group is started again."""

    system: System
    start: Callable[[], Worker]  #: Called in threads too.
    seed: int
    groups: list[Worker] = field(default_factory=list)
    peak_bytes: int = 0  #: The most memory that any child was seen to have had.
    killed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - as above
        self.pool = ThreadPoolExecutor()
        self.starting: list[Future[Worker]] = []

    def begin(self, *, groups: int) -> None:
        self.starting += [self.pool.submit(self.start) for _ in range(groups)]
        self.join()

    def kill_at(self, point: Point, workflow_id: object) -> None:
        """Wait for the point, and kill a child that works then, or the whole group it is in."""
        values = (point.step, point.step, point.done, point.step, workflow_id)
        soon(lambda: self.system.value(REACHED, *values), f"{point} was reached")
        time.sleep(point.seconds)
        pid, group = soon(self._victim, "somebody worked")
        self.look()
        with suppress(ProcessLookupError):
            if point.whole_group:
                self.groups.remove(group)
                group.kill()
                self.starting.append(self.pool.submit(self.start))
            else:
                os.kill(pid, signal.SIGKILL)
        self.killed.append("group" if point.whole_group else "child")

    def look(self) -> None:
        """Note how much memory the living children have had at most."""
        for group in self.groups:
            for pid in group.children():
                self.peak_bytes = max(self.peak_bytes, peak_bytes_of(pid))

    def join(self) -> None:
        """Wait until every group that was killed is there again."""
        for future in self.starting:
            self.groups.append(future.result(timeout=SECONDS))
        self.starting.clear()

    def _victim(self) -> tuple[int, Worker] | None:
        """Return a living child that works, by the pid at the end of what the ledger calls it."""
        started = [future for future in self.starting if future.done()]
        self.groups += [future.result() for future in started]
        self.starting = [future for future in self.starting if future not in started]
        pids = {int(row["worker"].rpartition(":")[2]) for row in self.system.rows(RUNNING)}
        living = [(pid, group) for group in self.groups for pid in pids & {*group.children()}]
        return self.chance.choice(sorted(living, key=lambda each: each[0])) if living else None


def soon(predicate: Callable[[], Any], what: str) -> Any:
    return wait_for(predicate, SECONDS, what, every_seconds=0.02)


def peak_bytes_of(pid: int) -> int:
    """Return the most memory that a process has had, 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kibibytes = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kibibytes[0]) * 1024 if kibibytes else 0
