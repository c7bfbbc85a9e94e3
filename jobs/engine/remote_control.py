"""
Celery's remote control of a worker, kept from the database.

Celery's own `revoke` asks for a result and writes one, in the worker's parent: while the database
is away, it would hold up every child's work.
"""

from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control
from celery.worker import state as worker_state


def register() -> None:
    """Replace Celery's commands of the same names, as its documentation has one add others."""
    control.control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")(revoke)
    control.control_command(
        variadic="task_id",
        args=[("signal", str)],
        signature="<signal> [id1 [id2 [... [idN]]]]",
    )(terminate)


def revoke(
    state: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **_: Any
) -> dict[str, str]:
    """Keep these tasks from running; with `terminate`, also end the children that run them."""
    ids = sorted(set(maybe_list(task_id) or []))
    worker_state.revoked.update(ids)
    if terminate:
        _terminate(state, ids, signal)
    return {"ok": f"revoked: {', '.join(ids)}"}


def terminate(state: Any, signal: str, task_id: Any, **_: Any) -> dict[str, str]:
    """Revoke these tasks, and end the children that run them by a signal."""
    return revoke(state, task_id, terminate=True, signal=signal)


def _terminate(state: Any, ids: list[str], signal: str | None) -> None:
    for each in ids:
        request = worker_state.requests.get(each)
        if request:
            request.terminate(state.consumer.pool, signal=signal)
