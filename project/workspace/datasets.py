"""What a tenant may export of its workspace."""

from exports.datasets import register_dataset

register_dataset(
    "items",
    model="workspace.Item",
    tenant_field="tenant",
    columns=[
        "id",
        ("project_id", "project"),
        "sku",
        "name",
        "description",
        "quantity",
        "price",
        "tags",
        "created_at",
        "updated_at",
    ],
)

register_dataset(
    "projects",
    model="workspace.Project",
    tenant_field="tenant",
    columns=["id", "name", "created_at", "updated_at"],
)
