"""Every workflow definition that this process knows."""

from typing import Any

from jobs.workflows.definition import WorkflowDefinition
from jobs.workflows.errors import UnknownDefinition

_definitions: dict[str, WorkflowDefinition[Any]] = {}


def register(definition: WorkflowDefinition[Any]) -> None:
    """
    Make a definition known. The same module may declare it again: it was reloaded.

    :raises ValueError: if another module has taken the name.
    """
    known = _definitions.get(definition.name)
    if known and known.module != definition.module:
        raise ValueError(
            f"Two workflows are named {definition.name!r}, in {known.module} and "
            f"{definition.module}; rename one."
        )
    _definitions[definition.name] = definition


def get_definition(name: str) -> WorkflowDefinition[Any]:
    """:raises UnknownDefinition: listing the names there are."""
    try:
        return _definitions[name]
    except KeyError:
        raise UnknownDefinition(name, _definitions) from None


def find_definition(name: str) -> WorkflowDefinition[Any] | None:
    """Return the definition, or None for one that another release knows."""
    return _definitions.get(name)


def get_public_definition(name: str) -> WorkflowDefinition[Any]:
    """
    Return a definition that people may start by the API.

    :raises UnknownDefinition: listing those, the same for one that may not be.
    """
    public = {each.name: each for each in _definitions.values() if each.over_http}
    if name not in public:
        raise UnknownDefinition(name, public)
    return public[name]


def forget(name: str) -> None:
    """Take a definition away: for tests, which declare their own."""
    _definitions.pop(name, None)
