"""What a mail server says, made safe to keep and to show: one line without links and tokens."""

import re

#: What is kept of a server's words, in characters.
WORDS_CHARACTERS = 300

# A filter quotes what it dislikes, and a link may be all that somebody needs to join a tenant.
# `=` at a line's end is how a mail's own source goes on (quoted-printable), tokens included.
_LINK = re.compile(r"(?:[a-z][a-z0-9+.-]{0,20}://|www\.)(?:=\r?\n|\S)+", re.IGNORECASE)
#: Of invitations, of webhooks' secrets and of the API; their `_` may be written as %5F or =5F.
_TOKEN = re.compile(r"(?:inv|whsec|off)(?:_|[%=]5f)(?:=\r?\n|[\w%+/=-])*", re.IGNORECASE)


def one_line(text: str) -> str:
    """Return at most 300 printable characters, with [link] and [token] in place of the others."""
    told = _TOKEN.sub("[token]", _LINK.sub("[link]", text))
    readable = "".join(character if character.isprintable() else " " for character in told)
    return " ".join(readable.split())[:WORDS_CHARACTERS]
