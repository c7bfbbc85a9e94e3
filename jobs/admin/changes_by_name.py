"""Names the person by whom the admin changes schedules, for their revisions."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from jobs.schedules.revisions import changed_by


class ChangesByName(ModelAdmin):
    """Each view that can save or delete: what its forms, inlines and actions change has a name."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with changed_by(str(request.user)):
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with changed_by(str(request.user)):
            return super().delete_view(request, *args, **kwargs)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with changed_by(str(request.user)):
            return super().changelist_view(request, *args, **kwargs)
