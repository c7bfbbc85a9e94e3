"""Reads messages whose properties py-amqp can't, as messages without any."""

import struct
from collections.abc import Callable
from typing import Any

from amqp import method_framing

from jobs import log_events

Frame = tuple[int, int, Any]

#: AMQP's content header: what says how long the body is, and holds the properties.
HEADER_FRAME = 2

#: Class, weight and size of the body, as they come; then no property at all.
BARE_HEADER = ">HxxQH"

#: A timestamp beyond the year 9999 (milliseconds, say), text that is no UTF-8, endless nesting.
UNREADABLE = (ValueError, OverflowError, struct.error, RecursionError)


def frame_handler(
    connection: Any, callback: Callable[..., Any], **options: Any
) -> Callable[[Frame], Any]:
    """
    Return py-amqp's handler of frames, kept from ending the worker for properties of any kind.

    An argument of `amqp.Connection`. What it raises ends the worker, and the message comes
    again to the next. Without its headers it is no task message: it is rejected, and stored.
    """
    handle = method_framing.frame_handler(connection, callback, **options)

    def survive(frame: Frame) -> Any:
        try:
            return handle(frame)
        except UNREADABLE as error:
            kind, channel, buffer = frame
            if kind != HEADER_FRAME:
                raise
            class_id, body_size = struct.unpack_from(">HxxQ", buffer, 0)
            if not body_size:
                raise  # It may have been handled already, and the error be its handler's.
            log_events.properties_unreadable(error)
            return handle((kind, channel, struct.pack(BARE_HEADER, class_id, body_size, 0)))

    return survive
