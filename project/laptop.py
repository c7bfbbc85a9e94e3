"""`python -m project.laptop`: prepares and starts the product on SQLite, in one process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from project.services.runs import CHECKOUT, VAR
from project.services.secret import kept_secret


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a laptop: what the caller set, our defaults, then `variables`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"DEBUG": "true", **os.environ, **variables, "PATH": path, "PYTHONUNBUFFERED": "1"}


def run(env: Mapping[str, str], *words: str) -> str:
    """Run `manage.py <words>` and return what it printed; end this process if it fails."""
    done = subprocess.run(  # noqa: S603 - the commands are our own
        [sys.executable, "manage.py", *words],
        env=dict(env),
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"manage.py {words[0]} ended with {done.returncode}. {done.stdout}")
    return done.stdout


def seed(env: Mapping[str, str], *, password_file: Path) -> str:
    """Create the demonstration's tenants where they are missing; return how to sign in."""
    password = kept_secret(password_file)
    outcome = json.loads(run(env, "seed_demo", "--json", f"--password={password}"))
    return f"{outcome['admin']} / {password}"


def main() -> None:
    """Become `manage.py up`, with whatever words follow."""
    env = environment()
    VAR.mkdir(parents=True, exist_ok=True)
    run(env, "migrate", "--noinput", "--verbosity", "0")
    login = seed(env, password_file=VAR / "admin.password")
    print(f"  {'Login':<10} {login}", flush=True)
    os.chdir(CHECKOUT)
    os.execve(sys.executable, [sys.executable, "manage.py", "up", *sys.argv[1:]], env)  # noqa: S606


if __name__ == "__main__":
    main()
