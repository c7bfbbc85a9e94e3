"""A program that calls the HTTP API with somebody's token, for tests in one process."""

from collections.abc import Callable
from typing import Any

from django.test import Client

from project.accounts.models import Tenant, User
from project.accounts.scopes import Role
from tests.people import bearer, make_member, make_tenant, make_token


def program(
    client: Client, url: str, tenant: Tenant, user: User, **options: Any
) -> Callable[..., Any]:
    """Return the calls to what is below a URL; `options` are of the token."""
    _, text = make_token(tenant, user, **options)

    def call(method: str, path: str = "", body: Any = None, **headers: str) -> Any:
        content = {} if body is None else {"data": body, "content_type": "application/json"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(client, method)(url + path, **content, headers=bearer(text) | named)

    return call


def program_of_stranger(client: Client, url: str) -> Callable[..., Any]:
    """Return the calls of somebody who may do everything, but in another tenant."""
    other = make_tenant("other")
    return program(client, url, other, make_member(other, "eve@other.example", Role.OWNER))


def faulty_fields(answer: Any) -> list[str]:
    """Return the fields that a problem document names."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return [error["field"] for error in answer.json().get("errors", ())]


def problem(answer: Any) -> tuple[int, str, str]:
    """Return the status, the title and the detail of a problem document."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    return answer.status_code, body["title"], body["detail"]
