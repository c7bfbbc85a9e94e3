"""`/api/v1/notification-preferences`: which events the person who asks is mailed about."""

import uuid
from collections.abc import Mapping
from typing import cast

from django.http import HttpRequest
from ninja import Body, Router

from jobs.http import Actor, Fault, Problem, refuse_nobody
from notifications.events import MAIL_TYPES
from notifications.operations import preferences

router = Router()


@router.get("", response=dict[str, bool], summary="See which mails you get")
def get_preferences(request: HttpRequest) -> dict[str, bool]:
    return preferences.get_preferences(_person(request))


@router.put("", response=dict[str, bool], summary="Choose which mails you get")
def set_preferences(request: HttpRequest, body: Body[dict[str, bool]]) -> dict[str, bool]:
    """Names of event types, each true or false; what is left out stays as it is."""
    person = _person(request)
    _refuse_unknown_names(body)
    return preferences.set_preferences(person, body)


def _refuse_unknown_names(body: Mapping[str, bool]) -> None:
    """:raises Problem: 422 if one is no event type of the product."""
    unknown = sorted(body.keys() - MAIL_TYPES.keys())
    if unknown:
        detail = f"Unknown. Known: {', '.join(MAIL_TYPES)}."
        faults = [Fault(field=name, detail=detail) for name in unknown]
        raise Problem(422, "Invalid request", f"{unknown[0]}: {detail}", errors=faults)


def _person(request: HttpRequest) -> uuid.UUID:
    """These belong to a person in all tenants alike: no tenant and no scope is needed."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    refuse_nobody(actor)
    return cast(uuid.UUID, actor.user_id)
