"""`GET /__scheduled?cron=…`: runs a schedule now, on a developer's own machine."""

from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from jobs.errors import EnqueueRefused
from jobs.http import Problem
from jobs.schedules.errors import BrokenSchedule, PretendedTimeRefused, UnknownSchedule
from jobs.schedules.operations import trigger_matching


@require_safe
def run_schedule(request: HttpRequest) -> JsonResponse:
    """
    Run the schedules with the pattern (or name) `cron`, as `manage.py trigger_schedule` does.

    Only with DEBUG, from loopback, and not because a page of another site asks for it.
    """
    if not (settings.DEBUG and _is_local(request)):
        raise Http404
    wanted = request.GET.get("cron", "")
    try:
        slots = trigger_matching(wanted=wanted, by="GET /__scheduled")
    except UnknownSchedule as error:
        return Problem(404, "Unknown schedule", str(error), field="cron").as_response()
    except (BrokenSchedule, EnqueueRefused, PretendedTimeRefused) as error:
        return Problem(422, "Broken schedule", str(error), field="cron").as_response()
    ran = [{"schedule": slot.schedule_name, "job_id": str(slot.job_id)} for slot in slots]
    return JsonResponse({"success": True, "ran": ran}, status=202)


def _is_local(request: HttpRequest) -> bool:
    foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback and not foreign
    except ValueError:
        return False  # A socket without an address: a proxy is in front.
