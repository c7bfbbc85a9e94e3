"""The page behind the link of an invitation: shows it, and joins whoever it is meant for."""

from contextlib import suppress
from typing import Any

from django.contrib import auth, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic import View

from project.accounts import invitations, joining, operations, queries
from project.accounts.errors import InvitationRefused, WrongPassword
from project.accounts.forms import JoinForm
from project.accounts.models import Invitation, Membership


@method_decorator(never_cache, name="dispatch")
class AcceptInvitation(View):
    """
    Nobody joins by GET: mail programs and scanners open links.

    Whether the address has an account is told to nobody before a valid token and a posted form.
    The token comes once in the address, then in the bodies of forms alone.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            response = super().dispatch(request, *args, **kwargs)
        except InvitationRefused as refusal:
            context = {"refusal": refusal}
            response = render(request, "accounts/invitation_refused.html", context, status=404)
        # No address of ours with a token in it is told to anybody, not even to us. Not
        # `no-referrer`: by that browsers send forms with `Origin: null`, which CSRF refuses.
        response.headers["Referrer-Policy"] = "strict-origin"
        return response

    def get(self, request: HttpRequest) -> HttpResponse:
        token = request.GET.get("token", "")
        if member := _joined_before(request.user, token):
            return self._welcome(request, member)
        return self._show(request, token, JoinForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("token", "")
        if "sign-out" in request.POST:
            auth.logout(request)
            return self._show(request, token, JoinForm())
        if request.user.is_authenticated:
            now = timezone.now()
            return self._welcome(
                request, invitations.accept(token=token, user=request.user, now=now)
            )
        return self._join(request, token)

    def _join(self, request: HttpRequest, token: str) -> HttpResponse:
        form = JoinForm(request.POST)
        if not form.is_valid():
            return self._show(request, token, form)
        try:
            membership = joining.join(
                request=request, token=token, now=timezone.now(), **form.cleaned_data
            )
        except WrongPassword as error:
            form.add_error("password", str(error))
        except ValidationError as error:
            form.add_error("password", error)
        else:
            auth.login(request, membership.user)
            return self._welcome(request, membership)
        return self._show(request, token, form)

    def _show(self, request: HttpRequest, token: str, form: JoinForm) -> HttpResponse:
        context = {"invitation": _open_invitation(token), "token": token, "form": form}
        return render(request, "accounts/invitation.html", context)

    def _welcome(self, request: HttpRequest, membership: Membership) -> HttpResponse:
        tenant = operations.switch_tenant(
            session=request.session, user=membership.user, tenant_id=membership.tenant_id
        )
        messages.success(request, f"You are a member of {tenant} now.")
        return redirect("accounts:home")


def _joined_before(user: Any, token: str) -> Membership | None:
    """Return the membership of somebody who opens the link again by which they have joined."""
    if not user.is_authenticated:
        return None
    with suppress(InvitationRefused):
        return queries.get_joined(queries.get_invitation_of_token(token), user=user)
    return None


def _open_invitation(token: str) -> Invitation:
    """:raises InvitationRefused: if nobody can accept this."""
    invitation = queries.get_invitation_of_token(token)
    if not queries.is_acceptable(invitation, now=timezone.now()):
        raise InvitationRefused
    return invitation
