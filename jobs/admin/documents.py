"""JSON as the admin shows it: indented, as long as that is easier to read."""

import json

#: In characters. Of something deep, indentation makes a page that no browser likes.
INDENTED_MAX = 100_000

_ENCODER = json.JSONEncoder(indent=2, ensure_ascii=False)


def indented(text: str) -> str:
    """Return JSON indented; what is none, is too deep or would grow too large, as it is."""
    pieces: list[str] = []
    size = 0
    try:
        for piece in _ENCODER.iterencode(json.loads(text)):
            pieces.append(piece)
            size += len(piece)
            if size > INDENTED_MAX:
                return text
        shown = "".join(pieces)
        shown.encode()  # What was half of a surrogate pair in an escape is in no page.
    except (ValueError, RecursionError):
        return text
    return shown
