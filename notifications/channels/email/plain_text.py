"""What a mail of HTML says, as plain text for whoever reads no HTML."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from notifications.channels.email.visible import FLOW, VisibleElements, tags

#: What a mail without any visible text says: an empty part would look like a fault of ours.
NO_TEXT = "This message has no text of its own. Open it in a mail program that shows HTML."

#: What stands on lines of its own, and what has an empty line around it too.
LINES = tags("body caption dd div dt figcaption legend li option summary tr")
PARAGRAPHS = FLOW - LINES
LISTS = tags("menu ol ul")
CELLS = tags("td th")

# Marks between pieces of text. Text has none of them: they count as space, and space collapses.
_EDGE = "\x1d"  # Of a block: the next text begins a line, which it may do anyway.
_BULLET = "\x1e"
_CELL = "\x1f"
_BREAK = "\n"
_MARKS = frozenset({_BULLET, _CELL})

_SPACE = re.compile(r"\s+")
_NEW_LINE = re.compile(rf"[{_BREAK}{_EDGE}][ {_EDGE}]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_COMMENT_END = re.compile(r"--!?>")
#: `int()` refuses digits by the thousand, and no character has a number that long.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{100,};?")
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
#: Senders fill the preview of a mail with these; a line of them alone is an empty one.
_UNSEEN = " \u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2800\ufeff"


def text_of(html: str) -> str:
    """
    Return what a browser would show, in lines, and never an empty text.

    Links read `text (address)`, images are their `alt`, items of lists begin with `- `.
    Raises on no input, and takes time in proportion to its length.
    """
    reader = _Reader()
    readable = html.encode("utf-8", "replace").decode()
    # The last byte is a space, so that the parser waits for no more text. It is never closed:
    # an open tag at the end hides the rest from a browser too, and `close()` looks for its end
    # once for every `<` that follows, which is hours for a mail of nothing else.
    reader.feed(_ENDLESS_NUMBER.sub("\ufffd", readable) + " ")
    return reader.text() or NO_TEXT


class _Reader(HTMLParser):
    """Collects the visible text of HTML in pieces, with marks between them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._pieces: list[str] = []
        self._elements = VisibleElements()
        self._link: tuple[int, str] | None = None  # Its first piece, and where it leads.

    def text(self) -> str:
        self._end_link()
        marked = _NEW_LINE.sub(_BREAK, "".join(self._pieces))
        return _without_empty_lines_in_a_row(_lines(marked))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if not self._elements.start(tag, attributes):
            return
        self._break_around(tag)
        if tag == "br":
            self._pieces.append(_BREAK)
        elif tag == "li":
            self._pieces.append(_BULLET)
        elif tag in CELLS:
            self._pieces.append(_CELL)
        elif tag == "img":
            self._add(attributes.get("alt", ""))
        elif tag == "a":
            self._end_link()
            self._link = len(self._pieces), attributes.get("href", "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # HTML knows no `<div/>`: the stroke is ignored, and the element is open.
        self.handle_starttag(tag, attrs)
        if tag in self.CDATA_CONTENT_ELEMENTS:
            self.set_cdata_mode(tag)

    def handle_endtag(self, tag: str) -> None:
        self._elements.end(tag)
        if not self._elements.visible:
            return
        if tag == "a":
            self._end_link()
        self._break_around(tag)

    def handle_data(self, data: str) -> None:
        if self._elements.visible:
            self._add(data)

    def parse_comment(self, i: int, report: bool = True) -> int:
        """Find a comment's end where browsers do: `<!-->` is whole, and `--!>` ends one."""
        end = _COMMENT_END.search(self.rawdata, i + 2)
        return end.end() if end else -1

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Skip `<![if mso]>` and the like as browsers do; the parser's own would raise."""
        return self.parse_bogus_comment(i)

    def _add(self, data: str) -> None:
        if self._elements.is_open("pre"):
            self._pieces.append(_BREAK.join(map(_in_one_line, _LINE_END.split(data))))
        elif data.strip() or self._pieces[-1:] != [_BULLET]:
            self._pieces.append(_in_one_line(data))

    def _break_around(self, tag: str) -> None:
        """Break lines before and after a block; not between a bullet and its first block."""
        if self._pieces[-1:] == [_BULLET]:
            if tag != "li" and tag not in LISTS:
                return
            self._pieces.pop()  # An item without text.
        if tag in PARAGRAPHS and not self._is_tight(tag):
            self._pieces.append(_BREAK * 2)
        elif tag in FLOW or tag in LINES:
            self._pieces.append(_EDGE)

    def _is_tight(self, tag: str) -> bool:
        return (tag == "p" or tag in LISTS) and self._elements.is_open("li")

    def _end_link(self) -> None:
        if self._link is None:
            return
        first, href = self._link
        self._link = None
        address = _SPACE.sub("", href).translate(_CONTROLS)
        text = " ".join("".join(self._pieces[first:]).split())
        if address.lower().startswith(("http://", "https://", "mailto:")):
            address = re.sub("^mailto:", "", address, flags=re.IGNORECASE)
            if text.rstrip("/") != address.rstrip("/"):
                self._pieces.append(f" ({address})" if text else address)


def _in_one_line(data: str) -> str:
    return _SPACE.sub(" ", data).translate(_CONTROLS)


def _lines(marked: str) -> Iterator[str]:
    """Yield lines of text. One of empty cells or of an empty item is none at all."""
    for each in marked.split(_BREAK):
        line = _line(each)
        if line or _MARKS.isdisjoint(each):
            yield line


def _line(marked: str) -> str:
    bullet = "- " if _BULLET in marked else ""
    cells = (_SPACE.sub(" ", cell).strip() for cell in marked.replace(_BULLET, "").split(_CELL))
    line = " | ".join(cell for cell in cells if cell.strip(_UNSEEN))
    return bullet + line if line else ""


def _without_empty_lines_in_a_row(lines: Iterable[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()
