"""`/healthz`, `/readyz` and `/metrics`: what those ask who watch over this process."""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus

import structlog
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

log = structlog.get_logger(__name__)


class NotMigrated(Exception):
    """The code knows migrations that the database has not had."""


class HealthMiddleware:
    """
    Answers the probes before anything else looks at the request.

    They come from inside, without TLS and by whatever address the machine has today: neither
    the redirect to HTTPS nor ALLOWED_HOSTS may turn them away.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in ("GET", "HEAD") and request.path_info in PROBES:
            return PROBES[request.path_info](request)
        return self.get_response(request)


def alive(request: HttpRequest) -> HttpResponse:
    """Say that this process answers. No I/O: a database that is away is no reason to restart."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> HttpResponse:
    """
    Say whether requests can be served: 503 with the check that fails otherwise.

    `?full=1` asks for the truth of everything we depend on, and for no more than a word of each.
    """
    if request.GET.get("full") == "1":
        return _answer(_full())
    checks = {name: _passes(name, check) for name, check in CHECKS.items()}
    return _answer({name: "ok" if passed else "failed" for name, passed in checks.items()})


def metrics(request: HttpRequest) -> HttpResponse:
    """
    Answer Prometheus, with 200 even where the database is away.

    It throws away what comes with another status, and `offload_up 0` says more than no answer.
    """
    from jobs.metrics import prometheus  # Models: not before the apps are loaded.

    return HttpResponse(prometheus.render(), content_type=prometheus.CONTENT_TYPE)


def _full() -> dict[str, str]:
    """Return a word for each check of `doctor`; what it found is for the log."""
    from jobs.doctor import Status, examine  # Models: not before the apps are loaded.

    findings = examine()
    for name, finding in findings.items():
        if finding.status == Status.FAILED:
            log.warning("health.failed", check=name, error=finding.found, remedy=finding.remedy)
    return {name: finding.status.value for name, finding in findings.items()}


def _answer(words: dict[str, str]) -> HttpResponse:
    fine = "failed" not in words.values()
    status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse({"status": "ok" if fine else "unavailable", "checks": words}, status=status)


def _passes(name: str, check: Callable[[], bool]) -> bool:
    """Tell whether a check passes; why it does not is for the log, not for whoever asks."""
    try:
        return check()
    except (Error, NotMigrated) as error:
        log.warning("health.failed", check=name, error=str(error))
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


@cache
def _migrations() -> bool:
    """Compare the code's migrations with the database's; a good answer is remembered."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise NotMigrated("Run `manage.py migrate`.")
    return True


CHECKS: dict[str, Callable[[], bool]] = {"database": _database, "migrations": _migrations}
PROBES = {"/healthz": alive, "/readyz": ready, "/metrics": metrics}
