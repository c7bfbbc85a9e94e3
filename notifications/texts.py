"""What a line may hold that one person writes and another reads: a mail's subject, a name."""

import unicodedata

#: A line may hold a joiner (Cf), which emoji and Persian need, but nothing that ends it.
_BREAKS_A_LINE = frozenset({"Cc", "Zl", "Zp"})
#: Marks that turn the reading direction around, so that a line reads as another one.
_OVERRIDES = frozenset("\u202a\u202b\u202d\u202e\u202c")


def fault_of_line(text: str) -> str:
    """Say what keeps a text from being one readable line ("must …"); "" where nothing does."""
    if any(unicodedata.category(character) in _BREAKS_A_LINE for character in text):
        return "must be one line without control characters"
    if not _OVERRIDES.isdisjoint(text):
        return "must not turn the reading direction around"
    return fault_of_surrogates(text)


def fault_of_surrogates(text: str) -> str:
    """Say that a text can't be stored for half of a character; "" if it can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must not hold half of a character (a lone surrogate)"
    return ""
