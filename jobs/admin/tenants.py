"""Of which tenant a row is: its name, the list of its rows, and finding it by what it is called."""

import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from jobs.states import SYSTEM_TENANT

#: The filter offers the tenants of so many rows, the newest; the search finds every tenant.
NEWEST_ROWS = 1_000
OFFERED_MAX = 50


def name_of_tenant(row: Any) -> str:
    """Return the name that `with_tenant_names` added, or what there is instead."""
    return _name(row.tenant_id, getattr(row, "tenant_name", None))


def link_to_tenant(row: Any) -> str:
    """Return the name of a row's tenant, as a link to the list of this tenant's rows."""
    if row.tenant_id is None:
        return "-"
    page = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
    html = '<a class="underline" href="{}?tenant_id={}">{}</a>'
    return format_html(html, page, row.tenant_id, name_of_tenant(row))


def link_and_id_of_tenant(row: Any) -> str:
    """Return the same with the id below, for the page of one row."""
    if row.tenant_id is None:
        return "-"
    return format_html('{}<div class="text-xs">{}</div>', link_to_tenant(row), row.tenant_id)


def with_tenant_names(rows: Any) -> Any:
    """Add `tenant_name`, where JOBS_TENANT_MODEL says which model has it."""
    if not settings.JOBS_TENANT_MODEL:
        return rows
    tenants = _tenants().filter(pk=OuterRef("tenant_id"))
    return rows.annotate(tenant_name=Subquery(tenants.values("name")[:1]))


def of_tenants_named(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """
    Return the rows of the tenants whose name or slug has this text in it.

    Tenants are few beside their rows: theirs is the table that is read as a whole.
    """
    if not settings.JOBS_TENANT_MODEL:
        return rows.none()
    tenants = _tenants()
    named = Q(name__icontains=text)
    if hasattr(tenants.model, "slug"):
        named |= Q(slug__icontains=text)
    return rows.filter(tenant_id__in=list(tenants.filter(named).values_list("pk", flat=True)))


class TenantFilter(admin.SimpleListFilter):
    """Offers the tenants of the newest rows, and the one that a link of another page has chosen."""

    title = "tenant"
    parameter_name = "tenant_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        newest = model_admin.model.objects.filter(tenant_id__isnull=False).order_by("-pk")
        found = Counter(newest.values_list("tenant_id", flat=True)[:NEWEST_ROWS])
        offered = {tenant_id for tenant_id, _ in found.most_common(OFFERED_MAX)}
        named = names_of(offered | _chosen(self.value()))
        return sorted(((str(pk), name) for pk, name in named.items()), key=lambda each: each[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """:raises IncorrectLookupParameters: for an id that is none; the list starts anew."""
        if not self.value():
            return queryset
        try:
            return queryset.filter(tenant_id=self.value())
        except ValidationError as error:
            raise IncorrectLookupParameters(str(error)) from error


def names_of(tenant_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return what tenants are called; one that is gone is called by its id."""
    ids, names = list(tenant_ids), {}
    if settings.JOBS_TENANT_MODEL and ids:
        names = dict(_tenants().filter(pk__in=ids).values_list("pk", "name"))
    return {each: _name(each, names.get(each)) for each in ids}


def _name(tenant_id: uuid.UUID, name: str | None) -> str:
    if str(tenant_id) == SYSTEM_TENANT:
        return "system"
    return name or str(tenant_id)


def _chosen(value: str | None) -> set[uuid.UUID]:
    try:
        return {uuid.UUID(value or "")}
    except ValueError:
        return set()


def _tenants() -> QuerySet[Any]:
    return apps.get_model(settings.JOBS_TENANT_MODEL).objects.all()
