"""A tenant's own records: what exports read."""

from decimal import Decimal

from django.db import models
from django.utils import timezone

from jobs.ids import new_id


class Project(models.Model):
    """A group of items, such as a collection or a season."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(
        "accounts.Tenant", models.CASCADE, related_name="projects", db_index=False
    )  # The unique constraint's index starts with it.
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"], name="workspace_one_project_per_tenant_and_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Item(models.Model):
    """Something that the tenant sells."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(
        "accounts.Tenant", models.CASCADE, related_name="items", db_index=False
    )  # The unique constraint's index starts with it.
    project = models.ForeignKey(Project, models.CASCADE, related_name="items")
    sku = models.CharField("SKU", max_length=64)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, null=True)  # noqa: DJ001 - NULL: never described.
    quantity = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=12, decimal_places=2, default=Decimal(0))
    tags = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "sku"], name="workspace_one_item_per_tenant_and_sku"
            )
        ]
        indexes = [
            # Exports read a tenant's items in the order of their ids.
            models.Index(fields=["tenant", "id"], name="workspace_items_by_tenant_id")
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"
