"""Writes how executions ended, and turns what an exception says into what PostgreSQL stores."""

import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path

from jobs.models import Attempt, Job
from jobs.states import Outcome

TRACEBACK_MAX_CHARACTERS = 20_000
MESSAGE_MAX_CHARACTERS = 2_000
TYPE_MAX_CHARACTERS = 200
PLACE_MAX_CHARACTERS = 200

#: Where other people's code lies: the place of an error is the innermost frame outside.
OTHERS = tuple(
    sorted({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {"<frozen"})
)


@dataclass(frozen=True)
class Ending:
    """How an execution ended."""

    outcome: Outcome
    error: BaseException | None = None


def record(job: Job, ending: Ending) -> None:
    """Add the attempt that `job` was read in to its history; part of the move that ends it."""
    error = ending.error
    Attempt.objects.create(
        job=job,
        attempt=job.attempt,
        dispatch=job.dispatch,
        outcome=ending.outcome,
        worker=job.worker,
        started_at=job.started_at,
        error_type=type(error).__name__[:TYPE_MAX_CHARACTERS] if error else "",
        error_message=_storable(_said(error))[:MESSAGE_MAX_CHARACTERS] if error else "",
        place=_storable(place_of(error))[:PLACE_MAX_CHARACTERS] if error else "",
        traceback=_storable(_format(error))[-TRACEBACK_MAX_CHARACTERS:] if error else "",
    )


def one_line(error: BaseException) -> str:
    """Return an error's type and what it says, without line breaks."""
    text = f"{type(error).__name__}: {_said(error)}"
    return _storable(" ".join(text.split()))[:MESSAGE_MAX_CHARACTERS]


def place_of(error: BaseException) -> str:
    """Return "<file>:<function>" of the frame that raised, our own code's before a library's."""
    frames = [
        (frame.f_code.co_filename, frame.f_code.co_name)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    if not frames:
        return ""
    ours = [frame for frame in frames if not frame[0].startswith(OTHERS)]
    path, function = (ours or frames)[-1]
    return f"{'/'.join(Path(path).parts[-2:])}:{function}"


def _format(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _said(error: BaseException) -> str:
    """Return what an error says; one that fails to say it must not keep its job from moving."""
    try:
        return str(error)
    except Exception as another:
        return f"(its text can't be read: {type(another).__name__})"


def _storable(text: str) -> str:
    """Make what an exception says fit for PostgreSQL, which refuses NUL and lone surrogates."""
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()
