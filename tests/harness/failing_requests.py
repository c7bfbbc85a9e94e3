"""An extra task module for a web process whose requests end in an error, with secrets at hand."""

from functools import wraps
from typing import Any

from notifications.operations import endpoints, mails
from project.accounts import queries

#: What a request calls when it holds a mail's text, an endpoint's secret or an invitation's token.
WITH_SECRETS = [
    (mails, "request_mail"),
    (endpoints, "get_endpoint"),
    (queries, "get_invitation_of_token"),
]


def _fail_after(owner: Any, name: str) -> None:
    original = getattr(owner, name)

    @wraps(original)
    def failing(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        raise RuntimeError(f"{name} was told to fail, with {result!r} in its hands")

    setattr(owner, name, failing)


for owner, name in WITH_SECRETS:
    _fail_after(owner, name)
