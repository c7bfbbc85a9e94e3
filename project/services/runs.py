"""
The directories under `var/services/`, one per run: who owns it, what it started, what is left.

A run belongs to the process that opened it. When that process is gone, whatever its pid files
name is ended: by the run's guard within a second, or, should that have been killed too, by the
next run that starts here.
"""

import os
import shutil
import sys
import time
from pathlib import Path

from project.services.child import Child
from project.services.identity import Identity, end_all

CHECKOUT = Path(__file__).resolve().parents[2]
VAR = Path(os.environ.get("VAR_DIR") or CHECKOUT / "var").resolve()
RUNS = VAR / "services"
OWNER = "owner"  #: Holds the identity of the process that opened the run.
KEEP = "keep"  #: Marks a run whose data outlives it.


class RunInUse(RuntimeError):
    """Another living process owns this run; stop it first."""


def open_run(name: str, *, keep: bool) -> Path:
    """
    Make a directory ours, after ending what dead runs left behind.

    :raises RunInUse: if a living process owns a run of this name.
    """
    RUNS.mkdir(parents=True, exist_ok=True)
    end_stale_runs()
    run = RUNS / name
    if run.exists():
        _refuse_if_owned(run)
        _sign(run, keep=keep)
        return run
    # The owner is there before the name is: a run without one would look stale to a neighbour.
    fresh = RUNS / f".{name}.{os.getpid()}"
    fresh.mkdir()
    _sign(fresh, keep=keep)
    return fresh.rename(run)


def _refuse_if_owned(run: Path) -> None:
    owner = Identity.read(run / OWNER)
    if owner and owner.alive:
        raise RunInUse(f"{run} belongs to the running process {owner.pid}.")


def _sign(run: Path, *, keep: bool) -> None:
    Identity.of(os.getpid()).write(run / OWNER)
    if keep:
        (run / KEEP).touch()


def end_stale_runs() -> None:
    """End what was started by processes that are gone, and remove their runs."""
    for run in RUNS.glob("[!.]*"):
        owner = Identity.read(run / OWNER)
        if owner is None or not owner.alive:
            end_run(run)


def end_run(run: Path) -> None:
    """End everything that the run's pid files name, then remove what need not be kept."""
    recorded = {path: Identity.read(path) for path in run.glob("*.pid")}
    end_all(identity for identity in recorded.values() if identity)
    for path in recorded:
        path.unlink(missing_ok=True)
    (run / OWNER).unlink(missing_ok=True)
    if not (run / KEEP).exists():
        remove(run)


def remove(run: Path) -> None:
    """Delete a run together with the directories elsewhere that it points to."""
    for link in [path for path in run.glob("*") if path.is_symlink()]:
        shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(run, ignore_errors=True)


def start_guard(run: Path) -> Child:
    """Start the process that ends the run should this one die without a word."""
    argv = [sys.executable, "-m", "project.services.guard", run]
    # Its pid file has another suffix: it is not among what the guard itself ends.
    guard = Child("guard", argv, directory=run, cwd=CHECKOUT)
    guard.pid_file = run / "guard.id"
    return guard.start()


def guard_run(run: Path) -> None:
    """Wait until the run's owner has gone, then end the run. Blocks."""
    owner = Identity.read(run / OWNER)
    while owner and owner.alive:
        time.sleep(0.5)
    if owner and Identity.read(run / OWNER) == owner:  # Nobody took the run over meanwhile.
        end_run(run)
