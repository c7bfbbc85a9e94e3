"""What several commands read from the command line."""

from argparse import ArgumentTypeError
from datetime import datetime

from django.utils.dateparse import parse_datetime


def moment(text: str) -> datetime:
    """Read a time with its zone, for argparse."""
    try:
        value = parse_datetime(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise ArgumentTypeError(f"not a time with a zone, such as 2026-01-31T09:00:00Z: {text}")
    return value
