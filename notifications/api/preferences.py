"""`/api/v1/notification-preferences`: which events the person who asks is mailed about."""

import uuid
from typing import cast

from django.http import HttpRequest
from ninja import Router

from jobs.http import Actor, refuse_nobody
from notifications.operations import preferences

router = Router()


@router.get("", response=dict[str, bool], summary="See which mails you get")
def get_preferences(request: HttpRequest) -> dict[str, bool]:
    return preferences.get_preferences(_person(request))


@router.put("", response=dict[str, bool], summary="Choose which mails you get")
def set_preferences(request: HttpRequest, body: dict[str, bool]) -> dict[str, bool]:
    """Names of event types, each true or false; what is left out stays as it is."""
    return preferences.set_preferences(_person(request), body)


def _person(request: HttpRequest) -> uuid.UUID:
    """These belong to a person in all tenants alike: no tenant and no scope is needed."""
    actor: Actor = request.actor  # type: ignore[attr-defined]
    refuse_nobody(actor)
    return cast(uuid.UUID, actor.user_id)
