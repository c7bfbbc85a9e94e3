"""Reads the files that people deploy with, as far as tests ask."""

import re
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from project.services.procfile import read_procfile
from tests.harness.variables import CHECKOUT

SETTING = re.compile(r"^(#?)([A-Z][A-Z0-9_]+)=(.*)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def env_example(*, commented: bool) -> dict[str, str]:
    """Return the settings of .env.example: those in force, or those shown as comments."""
    found = SETTING.findall((CHECKOUT / ".env.example").read_text())
    return {name: value for mark, name, value in found if bool(mark) is commented}


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((CHECKOUT / "compose.yaml").read_text()))


def placeholders() -> set[str]:
    """Return the variables that compose.yaml takes from .env for itself."""
    return {name for name, _ in PLACEHOLDER.findall((CHECKOUT / "compose.yaml").read_text())}


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """Return what a service's process sees when .env is a copy of the example."""
    own = {name: _filled_in(str(value)) for name, value in service["environment"].items()}
    return {**env_example(commented=False), **own}


def _filled_in(value: str) -> str:
    known = env_example(commented=False)
    return PLACEHOLDER.sub(lambda match: known.get(match[1], match[2] or ""), value)


def procfile() -> dict[str, list[str]]:
    """Return the words of each process's command, without the variables set before it."""
    return {
        name: command_words(shlex.split(command))
        for name, command in read_procfile(CHECKOUT / "Procfile").items()
    }


@dataclass(frozen=True)
class WorkerLine:
    """A worker of the Procfile: its name, what it takes from, with how many children."""

    name: str
    queues: list[str]
    children: int


def workers(*, cores: int) -> list[WorkerLine]:
    """Return the workers of the Procfile as a machine with so many cores runs them."""
    lines = {name: words for name, words in procfile().items() if "worker" in words}
    return [
        WorkerLine(
            name=name,
            queues=option(words, "-Q").split(","),
            children=int(option(words, "--concurrency")) if "--concurrency" in words else cores,
        )
        for name, words in lines.items()
    ]


def command_words(words: list[str]) -> list[str]:
    while words[0] == "env" or "=" in words[0]:
        words = words[1:]
    return words


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions as (word, rest), continued lines joined."""
    text = (CHECKOUT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def option(words: list[str], name: str) -> str:
    """Return the word that follows an option."""
    return words[words.index(name) + 1]
