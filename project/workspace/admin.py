"""Projects and items in the admin."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from project.workspace.models import Item, Project


@admin.register(Project)
class ProjectAdmin(ModelAdmin):
    list_display = ("name", "tenant", "created_at", "archived_at")
    list_select_related = ("tenant",)
    list_filter = (("archived_at", admin.EmptyFieldListFilter), "tenant")
    search_fields = ("name",)
    autocomplete_fields = ("tenant",)
    readonly_fields = ("id", "created_at", "updated_at")


@admin.register(Item)
class ItemAdmin(ModelAdmin):
    list_display = ("sku", "name", "tenant", "project", "quantity", "price")
    list_select_related = ("tenant", "project")
    list_filter = ("tenant",)
    search_fields = ("sku", "name")
    autocomplete_fields = ("tenant", "project")
    readonly_fields = ("id", "created_at", "updated_at")
    ordering = ("id",)
    show_full_result_count = False  # A million rows are counted once, not twice.
