"""The page behind the mail of an export: says how it stands, and has its file."""

from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from exports.errors import NoSuchObject, NotCompleted, UnknownExport
from exports.models import Export
from exports.queries import get_export_of_any, kept_until
from exports.responses import answer_download
from project.accounts import queries
from project.accounts.models import User
from project.accounts.scopes import Scope
from project.accounts.views import SignedInRequest


@require_safe
@never_cache
@login_required
def show_export(request: SignedInRequest, export_id: UUID) -> HttpResponse:
    """Show an export of any of the person's tenants: a mail knows nothing of the active one."""
    try:
        export = _find(request.user, export_id)
    except UnknownExport:
        return _missing(request)
    context = {"export": export, "kept_until": kept_until(export)}
    return render(request, "accounts/export.html", context)


@require_safe
@never_cache
@login_required
def download_export(request: SignedInRequest, export_id: UUID) -> HttpResponseBase:
    """Answer with the file, as the API does; the page says why there is none."""
    try:
        return answer_download(_find(request.user, export_id))
    except NotCompleted:
        return redirect("accounts:export", export_id)
    except (UnknownExport, NoSuchObject):
        return _missing(request)


def _find(user: User, export_id: UUID) -> Export:
    """:raises UnknownExport: if there is none, or the person may not read it in its tenant."""
    return get_export_of_any(
        queries.list_tenant_ids(user=user, scope=Scope.EXPORTS_READ), export_id
    )


def _missing(request: SignedInRequest) -> HttpResponse:
    """One text for all reasons, so that nobody learns which ids other tenants have."""
    context = {"days": settings.EXPORTS_KEEP_DAYS}
    return render(request, "accounts/export_missing.html", context, status=404)
