"""The migrated database with people in it, made once per run; every system gets a copy."""

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.harness import environment
from tests.harness.people import People
from tests.harness.servers import Servers
from tests.harness.variables import CHECKOUT


@dataclass(frozen=True)
class Template:
    """A database that nobody connects to: PostgreSQL copies it in a fraction of a second."""

    name: str
    people: People


def make_template(servers: Servers) -> Template:
    """Create it by the product's own migrations, in a process of its own."""
    name = f"{servers.next_name()}_template"
    env = environment.for_processes(
        database_url=servers.start_postgres().create_database(name),
        broker_url="memory://",
        shared=servers.directory,
        directory=servers.directory,
        extra={"LOG_LEVEL": "WARNING"},
    )
    argv = [sys.executable, "-m", "tests.harness.prepare"]
    done = subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"The template could not be made:\n{done.stderr}"
    return Template(name, People.from_json(json.loads(done.stdout)))
