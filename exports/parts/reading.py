"""Reads a stored file in blocks, some bytes or all the rest of it."""

import sys
from collections.abc import Iterator
from typing import BinaryIO

#: Small enough that what a row counter makes of one is small too, whatever it holds.
BLOCK_BYTES = 256 * 1024


def blocks_of(file: BinaryIO, size_bytes: int = sys.maxsize) -> Iterator[bytes]:
    """Yield the next so many bytes of a file, or as many as it has."""
    while size_bytes > 0:
        block = file.read(min(size_bytes, BLOCK_BYTES))
        if not block:
            return
        size_bytes -= len(block)
        yield block
