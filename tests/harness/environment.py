"""The environment that tests run in: nothing of the developer's own leaks in."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.harness.variables import variables_read

#: What PATH, HOME and the locale are for; all else that settings read is set by the tests.
KEPT = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "CI", "VIRTUAL_ENV"})
SECRET_KEY = "a-key-for-tests-only-0123456789-0123456789-0123456789"


def set_for_this_process(*, database_url: str, directory: Path) -> None:
    """Prepare the settings of the test process; call it before Django loads them."""
    for name in variables_read():
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "SECRET_KEY": SECRET_KEY,
        "DEBUG": "true",  # Static files come from the source: nothing is collected.
        "VAR_DIR": str(directory),
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": "memory://",
        "EXPORTS_STORAGE_URL": f"file://{directory / 'exports'}",
        "EMAIL_URL": "memorymail://",
        "LOG_FORMAT": "text",
    }


def for_processes(
    *,
    database_url: str,
    broker_url: str,
    management_url: str | None = None,
    shared: Path,
    directory: Path,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """
    Return the environment of real processes: as in production, but without TLS.

    `shared` holds the static files that are collected once per run; the files and mails of one
    system lie in its `directory`.
    """
    inherited = {name: value for name, value in os.environ.items() if name in KEPT}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PYTHONUNBUFFERED": "1",
        "REMAP_SIGTERM": "SIGQUIT",
        "SECRET_KEY": SECRET_KEY,
        "DEBUG": "false",
        "HTTPS_ONLY": "false",
        "VAR_DIR": str(shared),
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": broker_url,
        **({"RABBITMQ_MANAGEMENT_URL": management_url} if management_url else {}),
        "EXPORTS_STORAGE_URL": f"file://{directory / 'exports'}",
        "EMAIL_URL": f"filemail:///{directory / 'mail'}",
        "FLOWER_BASIC_AUTH": "flower:flower-password",
        "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks",
        "LOG_FORMAT": "text",
        **extra,
    }
