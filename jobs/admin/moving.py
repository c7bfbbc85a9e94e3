"""Cells that a page draws once, and its poller again for as long as their row is live."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import path, reverse
from django.utils.html import conditional_escape, format_html

from jobs.admin.base import LedgerAdmin

#: As many as `moving.js` asks for at once.
POLLED_MAX = 100

#: Draws a cell of a row: safe HTML, or plain text.
Draw = Callable[[Any], str]


class MovingAdmin(LedgerAdmin):
    """A page with cells that move by themselves, for as long as a row says that it `is_live`."""

    #: How each cell is drawn, by its name: of the list; and those that the page of one row adds.
    row_cells: ClassVar[Mapping[str, Draw]] = {}
    page_cells: ClassVar[Mapping[str, Draw]] = {}

    class Media:
        js = ("jobs/moving.js",)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.cells_view)
        return [path("cells", view, name=self._cells_name()), *super().get_urls()]

    def moving(self, name: str, row: Any) -> str:
        """Return a cell that `moving.js` draws again."""
        cells = {**self.row_cells, **self.page_cells}
        return format_html(
            '<div data-row="{}" data-cell="{}" data-live="{}" data-source="{}">{}</div>',
            row.pk,
            name,
            "yes" if row.is_live else "no",
            reverse(f"{self.admin_site.name}:{self._cells_name()}"),
            cells[name](row),
        )

    def cells_view(self, request: HttpRequest) -> JsonResponse:
        """Answer with the cells that are asked for by name, of the rows that are by id."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            wanted = [uuid.UUID(each) for each in request.GET.getlist("id")[:POLLED_MAX]]
        except ValueError:
            raise Http404 from None
        draws = self._draws(request.GET.getlist("cell"), rows=len(wanted))
        found = self.get_queryset(request).filter(pk__in=wanted)
        return JsonResponse({"rows": {str(row.pk): _as_json(row, draws) for row in found}})

    def _draws(self, names: list[str], *, rows: int) -> dict[str, Draw]:
        """Of many rows it offers the list's cells alone: the page's cost queries for each."""
        offered = {**self.row_cells, **(self.page_cells if rows <= 1 else {})}
        try:
            return {name: offered[name] for name in names}
        except KeyError:
            raise Http404 from None

    def _cells_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_cells"


def _as_json(row: Any, draws: Mapping[str, Draw]) -> dict[str, Any]:
    """What a cell is may be plain text: the page escapes it, and the poller's answer must, too."""
    cells = {name: conditional_escape(draw(row)) for name, draw in draws.items()}
    return {"live": row.is_live, "cells": cells}
