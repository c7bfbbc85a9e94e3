"""Tenants and their members in the admin."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from project.accounts.models import Membership, Tenant


class MemberInline(TabularInline):
    model = Membership
    extra = 0
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)
    autocomplete_fields = ("user",)


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    inlines = (MemberInline,)
    list_display = ("name", "slug", "member_count", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("id", "created_at")
    fields = ("name", "slug", "id", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        return super().get_queryset(request).annotate(member_count=Count("memberships"))

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """
        Let a superuser delete a tenant with all that is its own.

        The pages of exports, mails, deliveries and invitations delete nothing, and would refuse.
        """
        names, counts, refused, protected = super().get_deleted_objects(objs, request)
        return names, counts, set() if request.user.is_superuser else refused, protected

    @admin.display(description="Members", ordering="member_count")
    def member_count(self, tenant: Tenant) -> int:
        return tenant.member_count  # type: ignore[attr-defined]


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ("user", "tenant", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "tenant")
    search_fields = ("user__email", "user__name", "tenant__name")
    autocomplete_fields = ("user", "tenant")
    readonly_fields = ("created_at",)
    ordering = ("tenant__name", "user__email")
