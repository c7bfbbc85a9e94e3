"""How exported files are written. A new format is one module here and one line in `FORMATS`."""

from exports.errors import UnknownFormat
from exports.formats.base import Block, Format
from exports.formats.csv import Csv
from exports.formats.framing import framed
from exports.formats.json import Json

__all__ = ["FORMATS", "Block", "Format", "framed", "get_format"]

FORMATS: dict[str, Format] = {each.name: each for each in (Csv(), Json())}


def get_format(name: str) -> Format:
    """:raises UnknownFormat: naming those that exist."""
    if name not in FORMATS:
        raise UnknownFormat(name, FORMATS)
    return FORMATS[name]
