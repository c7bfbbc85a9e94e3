"""Reads what a workflow or a step is given as its model, and refuses what can't be stored."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ValidationError

from jobs import payloads
from jobs.errors import PayloadRefused
from jobs.workflows.errors import ArgumentRefused, StateRefused

#: As the columns are long.
KEY_MAX_CHARACTERS = 200
DEADLINE_MAX_SECONDS = 2**31 - 1


def read(model: type[BaseModel], data: BaseModel | Mapping[str, Any]) -> BaseModel:
    """:raises StateRefused: naming each field that doesn't fit."""
    if isinstance(data, model):
        return data
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise StateRefused(payloads.faults_of(error, "data")) from None


def refuse_unknown(model: type[BaseModel], data: Mapping[str, Any]) -> None:
    """:raises StateRefused: if the data has what is no field of the model: often one mistyped."""
    if unknown := sorted(data.keys() - model.model_fields.keys()):
        known = ", ".join(model.model_fields) or "none"
        raise StateRefused(f"{unknown[0]}: Unknown. Known: {known}.")


def check_key(key: str | None) -> None:
    """:raises ArgumentRefused: if the column can't hold it."""
    if key is not None and (len(key) > KEY_MAX_CHARACTERS or "\0" in key):
        raise ArgumentRefused(f"key: at most {KEY_MAX_CHARACTERS} characters, and no NUL.")


def seconds_of(deadline: timedelta | None) -> int | None:
    """
    Return how long a workflow may take, in whole seconds.

    :raises ArgumentRefused: if that is no time at all, or more than the column holds.
    """
    if deadline is None:
        return None
    if deadline <= timedelta(0):
        raise ArgumentRefused(f"deadline: {deadline} is not ahead.")
    seconds = math.ceil(deadline.total_seconds())
    if seconds > DEADLINE_MAX_SECONDS:
        raise ArgumentRefused(f"deadline: {deadline} is too long; at most 68 years are kept.")
    return seconds


def as_json(given: BaseModel) -> dict[str, Any]:
    """
    Return it as plain JSON values, which PostgreSQL stores.

    :raises StateRefused: if it is too large, or has a NUL character or a number JSON doesn't have.
    """
    try:
        return payloads.as_json(given)
    except PayloadRefused as refusal:
        raise StateRefused(str(refusal)) from None
