"""The pages for people: sign in, see who you are, choose the tenant and mails, sign out."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from notifications.events import MAIL_TYPES
from notifications.operations.preferences import get_preferences, set_preferences
from project.accounts import operations, queries
from project.accounts.errors import NotAMember
from project.accounts.forms import MailPreferencesForm, SignInForm, SwitchTenantForm
from project.accounts.models import User


class SignedInRequest(HttpRequest):
    """What `login_required` lets through."""

    user: User


class SignIn(LoginView):
    """Signs a person in. Django cycles the session key, so a planted one is worth nothing."""

    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


class SignOut(LogoutView):
    next_page = "accounts:sign-in"


@require_safe
@login_required
def show_home(request: SignedInRequest) -> HttpResponse:
    wanted = get_preferences(request.user.pk)
    context = {
        "memberships": queries.list_memberships(user=request.user),
        "mails": [(name, text, wanted[name]) for name, text in MAIL_TYPES.items()],
    }
    return render(request, "accounts/home.html", context)


@require_POST
@login_required
def switch_tenant(request: SignedInRequest) -> HttpResponse:
    """Make another of the person's tenants the active one; a foreign one does not exist."""
    form = SwitchTenantForm(request.POST)
    if not form.is_valid():
        raise Http404
    try:
        tenant = operations.switch_tenant(
            session=request.session,
            user=request.user,
            tenant_id=form.cleaned_data["tenant_id"],
        )
    except NotAMember as error:
        raise Http404 from error
    messages.success(request, f"You now work for {tenant}.")
    return redirect("accounts:home")


@require_POST
@login_required
def save_mail_preferences(request: SignedInRequest) -> HttpResponse:
    """Store for every event type whether its box is ticked; of an unknown one, nothing at all."""
    form = MailPreferencesForm(request.POST)
    if not form.is_valid():
        raise BadRequest("Choose among the event types of the page.")
    set_preferences(request.user.pk, form.answers())
    messages.success(request, "Saved which mails you get.")
    return redirect("accounts:home")
