"""Which domain our mails come from."""

import re
from email.utils import parseaddr

from django.conf import settings
from django.utils.encoding import punycode

_DOMAIN = re.compile(r"(?:(?!-)[A-Za-z0-9-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def sender_domain() -> str:
    """Return the domain of DEFAULT_FROM_EMAIL in ASCII; `localhost` if it has none."""
    _, _, domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].partition("@")
    try:
        in_ascii = punycode(domain)
    except UnicodeError:
        in_ascii = ""
    return in_ascii if _DOMAIN.fullmatch(in_ascii) else "localhost"
