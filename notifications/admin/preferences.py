"""Mail preferences in the admin: to be read, each person sets their own."""

from django.contrib import admin

from jobs.admin.base import LedgerAdmin
from notifications.models import MailPreference


@admin.register(MailPreference)
class MailPreferenceAdmin(LedgerAdmin):
    list_display = ("user", "event_type", "wanted")
    list_filter = ("wanted",)
    list_select_related = ("user",)
    search_fields = ("id",)
    searched_ids = ("user_id",)
    search_help_text = "The id of a user."
    fields = ("user", "event_type", "wanted")
