"""Turns whatever goes wrong below `/api/` into a problem document (RFC 9457)."""

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

import exports.errors
import jobs.workflows.errors
import notifications.errors
import project.accounts.errors
from jobs import errors
from jobs.http import PROBLEM, Fault, Problem

log = logging.getLogger(__name__)

#: What is away may be back by then.
SOON = {"Retry-After": "5"}

#: What operations refuse, and how HTTP says it: status, title and the field at fault.
STATUSES: dict[type[Exception], tuple[int, str, str | None]] = {
    errors.UnknownJob: (404, "", "job_id"),
    errors.NotLive: (409, "Not live", None),
    errors.NotReplayable: (409, "Not replayable", None),
    errors.KeyInUse: (409, "Key in use", None),
    errors.PayloadTooLarge: (413, "", "payload"),
    errors.PayloadRefused: (422, "Invalid request", "payload"),
    exports.errors.UnknownExport: (404, "", "export_id"),
    exports.errors.NoSuchObject: (404, "File missing", None),
    exports.errors.StoreAway: (503, "", None),
    exports.errors.NotCompleted: (409, "Not completed", None),
    exports.errors.UnknownDataset: (422, "Invalid request", "dataset"),
    exports.errors.UnknownFormat: (422, "Invalid request", "format"),
    notifications.errors.UnknownNotification: (404, "", "notification_id"),
    notifications.errors.UnknownEndpoint: (404, "", "endpoint_id"),
    notifications.errors.UnknownDelivery: (404, "", "delivery_id"),
    notifications.errors.UnknownEventType: (422, "Invalid request", "event_type"),
    notifications.errors.UrlRefused: (422, "Invalid request", "url"),
    notifications.errors.DescriptionRefused: (422, "Invalid request", "description"),
    notifications.errors.MailRefused: (422, "Invalid request", None),
    notifications.errors.DataTooLarge: (413, "", "data"),
    notifications.errors.DataTooDeep: (422, "Invalid request", "data"),
    notifications.errors.EndpointDisabled: (409, "Endpoint disabled", None),
    notifications.errors.StillUnderWay: (409, "Still under way", None),
    notifications.errors.TooManyEndpoints: (409, "Too many endpoints", None),
    project.accounts.errors.UnknownInvitation: (404, "", "invitation_id"),
    project.accounts.errors.InvitationRefused: (404, "Invitation refused", "token"),
    project.accounts.errors.InvitationOver: (409, "Invitation over", None),
    project.accounts.errors.RoleRefused: (403, "Role refused", "role"),
    jobs.workflows.errors.UnknownWorkflow: (404, "", "workflow_id"),
    jobs.workflows.errors.UnknownStep: (404, "", "step_number"),
    jobs.workflows.errors.UnknownDefinition: (422, "Invalid request", "name"),
    jobs.workflows.errors.StateRefused: (422, "Invalid request", "data"),
    jobs.workflows.errors.StepOutOfOrder: (409, "Step out of order", "step_number"),
    jobs.workflows.errors.StepOfWorkers: (409, "Step of workers", "step_number"),
    jobs.workflows.errors.StepRefused: (409, "Step refused", None),
    jobs.workflows.errors.StateOutgrown: (409, "State outgrown", None),
    jobs.workflows.errors.DeadlineKept: (409, "Deadline kept", None),
    jobs.workflows.errors.WorkflowEnded: (409, "Workflow ended", None),
    jobs.workflows.errors.WorkflowKeyInUse: (409, "Key in use", "key"),
    jobs.workflows.errors.NotRestartable: (409, "Not restartable", None),
    jobs.workflows.errors.RestartNotNow: (503, "", None),
    RequestDataTooBig: (413, "", "body"),
}


def add_handlers(api: NinjaAPI) -> None:
    """Make every exception below the API's views a problem document."""
    for error, (status, title, field) in STATUSES.items():
        api.add_exception_handler(error, _answer_with(status, title, field))
    api.add_exception_handler(Problem, _problem)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(ValidationError, _invalid)
    api.add_exception_handler(Http404, _not_found)
    api.add_exception_handler(OperationalError, _database_away)
    api.add_exception_handler(InterfaceError, _database_away)
    api.add_exception_handler(Exception, _unexpected)


class ProblemMiddleware:
    """Rewrites the error pages of Django itself (no such route, wrong method, bad host)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path_info.startswith("/api/"):
            return response
        if response.headers.get("Content-Type") == PROBLEM:
            return response
        kept = {name: response[name] for name in ("Allow", "Retry-After") if name in response}
        return _without_details(response.status_code, kept).as_response()


def _without_details(status: int, headers: dict[str, str]) -> Problem:
    details = {404: "There is nothing here.", 405: f"Allowed: {headers.get('Allow')}."}
    return Problem(status, detail=details.get(status, ""), headers=headers)


def _answer_with(status: int, title: str, field: str | None) -> Callable[..., HttpResponse]:
    def answer(request: HttpRequest, error: Exception) -> HttpResponse:
        at_fault = field or getattr(error, "field", None)
        headers = SOON if status == 503 else {}
        return Problem(status, title, str(error), field=at_fault, headers=headers).as_response()

    return answer


def _problem(request: HttpRequest, error: Any) -> HttpResponse:
    response: HttpResponse = error.as_response()
    return response


def _http_error(request: HttpRequest, error: Any) -> HttpResponse:
    """Ninja makes a 400 of whatever a parser raises; ours has said it better."""
    if isinstance(error.__cause__, Problem):
        return _problem(request, error.__cause__)
    return Problem(error.status_code, detail=str(error)).as_response()


def _invalid(request: HttpRequest, error: Any) -> HttpResponse:
    faults = [Fault(field=_field(each["loc"]), detail=each["msg"]) for each in error.errors]
    if all(each["loc"][0] == "path" for each in error.errors):
        return Problem(404, detail="There is nothing with this id.", errors=faults).as_response()
    detail = f"{faults[0]['field']}: {faults[0]['detail']}"
    return Problem(422, "Invalid request", detail, errors=faults).as_response()


def _field(location: tuple[Any, ...]) -> str:
    """Return the path of a field as its sender knows it: without our names for the whole."""
    source, *names = location
    if source == "body":
        names = names[1:]  # The first is the view's parameter that takes the body.
    return ".".join(map(str, names)) or str(source)


def _not_found(request: HttpRequest, error: Any) -> HttpResponse:
    return Problem(404, detail="There is nothing here.").as_response()


def _database_away(request: HttpRequest, error: Any) -> HttpResponse:
    log.error("database.away", exc_info=error)
    detail = "The database can't be reached. Try again."
    return Problem(503, detail=detail, headers=SOON).as_response()


def _unexpected(request: HttpRequest, error: Any) -> HttpResponse:
    log.error("api.error", exc_info=error, extra={"path": request.path})
    return Problem(500, detail="The fault is ours; it has been logged.").as_response()
