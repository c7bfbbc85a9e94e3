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
    archived_at = models.DateTimeField(
        null=True, blank=True, help_text="Untouched for long; nothing of it is deleted."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"], name="workspace_one_project_per_tenant_and_name"
            )
        ]
        indexes = [
            # The nightly archiving: those that have not been touched.
            models.Index(
                fields=["updated_at"],
                condition=models.Q(archived_at=None),
                name="workspace_live_by_last_touch",
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
    project = models.ForeignKey(
        Project, models.CASCADE, related_name="items", db_index=False
    )  # The second index below starts with it.
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
            models.Index(fields=["tenant", "id"], name="workspace_items_by_tenant_id"),
            # The nightly archiving: when an item of a project was last touched.
            models.Index(fields=["project", "updated_at"], name="workspace_items_by_last_touch"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"
