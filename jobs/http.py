"""What the apps' HTTP APIs share: who asks, whether they may, and how an error is told."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol, TypedDict, cast
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from pydantic import BaseModel, ConfigDict

PROBLEM = "application/problem+json"


class Actor(Protocol):
    """The one who makes a request: `request.actor`, set by the project. May be nobody."""

    @property
    def user(self) -> Any: ...
    @property
    def user_id(self) -> UUID | None: ...
    @property
    def tenant(self) -> Any: ...
    @property
    def tenant_id(self) -> UUID | None: ...
    @property
    def role(self) -> str: ...
    @property
    def scopes(self) -> frozenset[str]: ...
    @property
    def refused(self) -> str:
        """Why the request is nobody's, in words for the caller."""

    @property
    def is_authenticated(self) -> bool: ...


class Member(Actor, Protocol):
    """An actor that `require` let through: somebody, who works for a tenant."""

    @property
    def user_id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...


class Fault(TypedDict):
    """What is wrong with one field, header or parameter of a request."""

    field: str
    detail: str


class Problem(Exception):
    """
    A request that is refused, as RFC 9457 tells it.

    `field` names what is at fault; `errors` names several. Raise it anywhere below a view.
    """

    def __init__(
        self,
        status: int,
        title: str = "",
        detail: str = "",
        *,
        field: str | None = None,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = HTTPStatus(status)
        self.title = title or self.status.phrase
        self.detail = detail
        self.errors = [*errors] or ([Fault(field=field, detail=detail)] if field else [])
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        """A URI for programs; RFC 9457 keeps `about:blank` for what the status says already."""
        if self.title == self.status.phrase:
            return "about:blank"
        return "urn:problem-type:" + re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def as_response(self) -> JsonResponse:
        document: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = self.errors
        return JsonResponse(
            document, status=self.status, headers=self.headers, content_type=PROBLEM
        )


def refuse_nobody(actor: Actor) -> None:
    """:raises Problem: 401, with the reason, if there is nobody behind the request."""
    if not actor.is_authenticated:
        raise Problem(
            401,
            detail=actor.refused,
            field="Authorization",
            headers={"WWW-Authenticate": "Bearer"},
        )


def require(request: HttpRequest, scope: str) -> Member:
    """
    Return the request's actor, who has a tenant and this scope.

    :raises Problem: 401 for nobody, 403 for one who has no tenant or lacks the scope.
    """
    actor: Actor = request.actor  # type: ignore[attr-defined]
    refuse_nobody(actor)
    if actor.tenant_id is None:
        raise Problem(403, "No tenant", "You are not a member of any tenant.")
    if scope not in actor.scopes:
        raise Problem(403, "Scope missing", f"This needs the scope {scope!r}.")
    return cast(Member, actor)


class RequestSchema(BaseModel):
    """The body or the query of a request. A field that it doesn't have is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


def page_of(found: Sequence[Any], limit: int) -> dict[str, Any]:
    """Return a page of a list that is newest first; one that is not full is the last."""
    more = len(found) == limit
    return {"items": found, "next_before": found[-1].pk if more else None}


def refuse_unknown_parameters(request: HttpRequest, schema: type[BaseModel]) -> None:
    """:raises Problem: 422 if the query has a parameter that is no field: often one mistyped."""
    unknown = sorted(set(request.GET) - set(schema.model_fields))
    if unknown:
        detail = f"Unknown. Known: {', '.join(schema.model_fields)}."
        faults = [Fault(field=name, detail=detail) for name in unknown]
        raise Problem(422, "Invalid request", f"{unknown[0]}: {detail}", errors=faults)
