"""Which elements of a piece of HTML are open, and whether a browser shows what is inside them."""

import re
from collections import Counter
from collections.abc import Mapping


def tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


#: Elements without an end.
VOID = tags("area base br col embed hr img input link meta param source track wbr")
#: Elements whose text no browser shows. Of a head these are all that can hold any.
UNSEEN = tags(
    "audio canvas datalist iframe noembed noframes object script style template title video"
)
#: Blocks: the start of one ends a paragraph.
FLOW = tags(
    "address article aside blockquote center details dialog div dl fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hr main menu nav ol p pre section table ul"
)
#: What the start of an element ends, if it is the innermost one: their end tags may be left out.
ENDS = {
    **dict.fromkeys(FLOW, frozenset({"p"})),
    "li": frozenset({"li", "p"}),
    "dt": frozenset({"dt", "dd", "p"}),
    "dd": frozenset({"dt", "dd", "p"}),
    "tr": frozenset({"tr", "td", "th", "p"}),
    "td": frozenset({"td", "th", "p"}),
    "th": frozenset({"td", "th", "p"}),
    "option": frozenset({"option"}),
    "body": frozenset({"head", "title"}),
}
_HIDES = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)


class VisibleElements:
    """The open elements, outermost first, as far as they decide what is seen."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._counts: Counter[str] = Counter()
        self._hidden_from: int | None = None  # The place of the outermost hidden element.

    @property
    def visible(self) -> bool:
        return self._hidden_from is None

    def is_open(self, tag: str) -> bool:
        return self._counts[tag] > 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> bool:
        """Open an element, unless it is of the kind that is never open; tell whether it is seen."""
        while self._open and self._open[-1] in ENDS.get(tag, ()):
            self._pop()
        seen = self.visible and not _hides(tag, attributes)
        if tag in VOID:
            return seen
        if self.visible and not seen:
            self._hidden_from = len(self._open)
        self._open.append(tag)
        self._counts[tag] += 1
        return seen

    def end(self, tag: str) -> None:
        """End an element and all inside it; an end without a start is ignored."""
        if not self.is_open(tag):
            return
        while self._pop() != tag:
            pass

    def _pop(self) -> str:
        tag = self._open.pop()
        self._counts[tag] -= 1
        if self._hidden_from is not None and len(self._open) <= self._hidden_from:
            self._hidden_from = None
        return tag


def _hides(tag: str, attributes: Mapping[str, str]) -> bool:
    return (
        tag in UNSEEN or "hidden" in attributes or bool(_HIDES.search(attributes.get("style", "")))
    )
