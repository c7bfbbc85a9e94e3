"""Identifiers that sort by the time they were made."""

import os
import time
import uuid


def new_id() -> uuid.UUID:
    """
    Return a UUID of version 7 (RFC 9562): 48 bits of milliseconds, then 74 random bits.

    New rows land at the end of every index instead of all over it, and `ORDER BY id` is the
    order of creation to the millisecond.
    """
    milliseconds = time.time_ns() // 1_000_000
    bits = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76  # The version.
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # The variant.
    return uuid.UUID(int=bits)
