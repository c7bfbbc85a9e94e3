"""Reads the state of a workflow as its definition's model, and stores what can be read again."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from jobs.models import Workflow
from jobs.payloads import faults_of
from jobs.workflows.errors import ResultRefused, StateOutgrown
from jobs.workflows.registry import get_definition
from jobs.workflows.results import UNSTORABLE, storable


def state_of(workflow: Workflow) -> Any:
    """
    Return the state that is stored, as its definition's model.

    :raises StateOutgrown: if it doesn't fit the model of this release.
    """
    try:
        return _read(workflow, workflow.state)
    except ValidationError as error:
        raise StateOutgrown(workflow.name, faults_of(error, "state")) from None


def storable_state(workflow: Workflow, state: BaseModel) -> Any:
    """
    Return a state as plain JSON values, as its model has them.

    It is read back on the way, as what comes next will do: pydantic checks no assignment, and
    one that fits nobody would be found by the next step or by the deadline, which can't mend it.

    :raises ResultRefused: if it doesn't fit its model, or can't be stored.
    """
    try:
        # What has the wrong type gets a warning there, and a refusal with the field's name here.
        fits = _read(workflow, state.model_dump(mode="json", warnings=False))
    except ValidationError as error:
        faults = faults_of(error, "state")
        raise ResultRefused(f"The state doesn't fit its model: {faults}.") from None
    except (PydanticSerializationError, *UNSTORABLE) as error:
        raise ResultRefused(f"The state can't be stored: {error}") from None
    return storable(fits, "The state")


def _read(workflow: Workflow, stored: Any) -> BaseModel:
    """It is stored by the names of its fields, whatever their aliases are."""
    model: type[BaseModel] = get_definition(workflow.name).state
    return model.model_validate_json(json.dumps(stored), by_alias=True, by_name=True)
