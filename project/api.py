"""The HTTP API: `/api/v1/`, its two ways to sign in, and the apps' routers."""

from django.conf import settings
from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.security import APIKeyCookie
from ninja.security.http import HttpAuthBase
from ninja.utils import check_csrf

from exports.api import router as exports_router
from jobs.api import router as jobs_router
from jobs.http import Actor, Problem, refuse_nobody
from jobs.workflows.api import router as workflows_router
from notifications.api.endpoints import router as endpoints_router
from notifications.api.notifications import router as notifications_router
from notifications.api.preferences import router as preferences_router
from notifications.api.syncs import router as syncs_router
from project.accounts.api import router as invitations_router
from project.problems import add_handlers
from project.strict_json import StrictParser


class BearerToken(HttpAuthBase):
    """`Authorization: Bearer off_…`. Needs no CSRF token: browsers never send it by themselves."""

    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Actor | None:
        if not _has_bearer(request):
            return None
        return _somebody(request)


class SessionCookie(APIKeyCookie):
    """The cookie of a signed-in person; what changes something needs `X-CSRFToken` as well."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Actor | None:
        actor = _somebody(request)
        if check_csrf(request):
            raise Problem(403, "CSRF token missing", "Send the CSRF token as X-CSRFToken.")
        return actor

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor:
        return _somebody(request)


def _has_bearer(request: HttpRequest) -> bool:
    """Tell as `accounts.authentication` does: with this header the session counts for nothing."""
    scheme = request.headers.get("Authorization", "").partition(" ")[0]
    return scheme.lower() == "bearer"


def _somebody(request: HttpRequest) -> Actor:
    actor: Actor = request.actor  # type: ignore[attr-defined]
    refuse_nobody(actor)
    return actor


api = NinjaAPI(
    title="Offload",
    version="1",
    description="Ask for work, watch it, fetch what it made.",
    auth=[BearerToken(), SessionCookie()],
    parser=StrictParser(),
    urls_namespace="api",
)
add_handlers(api)
api.add_router("exports", exports_router, tags=["exports"])
api.add_router("invitations", invitations_router, tags=["invitations"])
api.add_router("jobs", jobs_router, tags=["jobs"])
api.add_router("notifications", notifications_router, tags=["notifications"])
api.add_router("notification-preferences", preferences_router, tags=["notifications"])
api.add_router("syncs", syncs_router, tags=["webhooks"])
api.add_router("webhook-endpoints", endpoints_router, tags=["webhooks"])
api.add_router("workflows", workflows_router, tags=["workflows"])
