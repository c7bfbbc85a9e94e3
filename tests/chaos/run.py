"""One run: a product, a client, a script of faults, and the verdict."""

import contextlib
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import oracle, told
from tests.chaos.client import Submitter
from tests.chaos.faults import Fault, script
from tests.chaos.oracle import Verdict
from tests.chaos.product import Product
from tests.harness.system import System
from tests.webhook_receiver import webhook_receiver

#: Between two faults: what the product has to get up again, and often has not.
PAUSE_SECONDS = (1.0, 4.0)

#: The usual length of a fault with its pause: over this time the exports are asked for.
SECONDS_PER_FAULT = 7

ACCEPT_SECONDS = 180
QUIET_SECONDS = 240


@dataclass
class Report:
    """What one seed has shown."""

    seed: int
    faults: list[Fault]
    seconds: float
    verdict: Verdict
    was_quiet: bool

    @property
    def is_good(self) -> bool:
        return self.was_quiet and self.verdict.is_good

    def kinds(self) -> str:
        counts = Counter(fault.kind for fault in self.faults)
        return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def run(system: System, *, seed: int, exports: int, faults: int, say=print) -> Report:
    """
    Let the faults of this seed strike while exports are asked for; wait for quiet, and judge.

    An export that was not accepted in ACCEPT_SECONDS after the last fault counts as lost.
    """
    product = Product(system)
    began = time.monotonic()
    planned = script(seed, faults)
    with webhook_receiver() as receiver, contextlib.closing(product):
        product.start()
        told.subscribe(product, receiver)
        submitter = Submitter(product, exports, faults * SECONDS_PER_FAULT)
        submitter.start()
        _strike(product, planned, seed, say)
        submitter.wait(ACCEPT_SECONDS)
        was_quiet = oracle.wait_for_quiet(system, seconds=QUIET_SECONDS)
        verdict = oracle.judge(system, submitter)
        missing = exports - len(submitter.accepted) - len(submitter.refused)
        verdict.lost += ["never accepted"] * missing
        verdict.untold += told.untold(system, receiver, verdict.completed)
    return Report(seed, planned, time.monotonic() - began, verdict, was_quiet)


def keep_logs(system: System, folder: Path) -> Path:
    """Copy what the processes wrote to where it outlives the run."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in system.directory.glob("*.log"):
        shutil.copy(path, folder / path.name)
    return folder


def _strike(product: Product, planned: list[Fault], seed: int, say: object) -> None:
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    for fault in planned:
        time.sleep(chance.uniform(*PAUSE_SECONDS))
        say(f"  {fault}")  # type: ignore[operator]
        fault.strike(product)
