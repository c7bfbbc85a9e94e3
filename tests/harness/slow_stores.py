"""Makes exports last: a worker that loads this module rests at every block it writes to a file."""

import os
import time

from exports.object_store.file import FilePart

#: Enough for a test to look, and to act, while a file of a few megabytes is written.
REST_SECONDS = float(os.environ.get("STORE_REST_SECONDS", "0.2"))

_write = FilePart.write


def write_slowly(part: FilePart, data: bytes) -> None:
    _write(part, data)
    time.sleep(REST_SECONDS)


FilePart.write = write_slowly  # type: ignore[assignment, method-assign]
