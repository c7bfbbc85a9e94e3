"""Bulk replays in the admin: how far they are, how they went, and a way to stop one."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display

from jobs.admin.base import LedgerAdmin, age, preformatted
from jobs.dead_letters import bulk
from jobs.models import BulkReplay
from jobs.states import BulkState, JobState

STATE_COLOURS = {
    BulkState.RUNNING: "info",
    BulkState.FINISHED: "success",
    BulkState.STOPPED: "warning",
}


@admin.register(BulkReplay)
class BulkReplayAdmin(LedgerAdmin):
    list_display = (
        "badge", "matched", "replayed", "refused", "succeeded", "failed", "asked_by", "since",
    )  # fmt: skip
    list_display_links = ("matched",)
    list_filter = ("state",)
    actions_detail = ("stop",)
    fields = (
        "badge", "matched", "replayed", "refused", "succeeded", "failed", "note", "filter_text",
        "rate_per_second", "canary", "stop_share", "asked_by", "created_at", "ended_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkReplay]:
        state = "dead_letters__replay_job__state"
        return (
            super()
            .get_queryset(request)
            .annotate(
                done=Count("dead_letters", filter=Q(**{state: JobState.SUCCEEDED})),
                spoilt=Count("dead_letters", filter=Q(**{state: JobState.FAILED})),
            )
        )

    def has_stop_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.replay_matching_deadletter")

    @action(description="Stop", permissions=["stop"], icon="stop_circle")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(row: BulkReplay) -> str:
            ended = bulk.stop_bulk_replay(bulk_replay_id=row.pk, by=str(request.user))
            return f"The {ended} has {ended.state}; {ended.replayed} were replayed."

        return self.act_on_one(request, object_id, question="Stop this replay", act=act)

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def badge(self, row: BulkReplay) -> str:
        return row.state

    @admin.display(description="Succeeded since")
    def succeeded(self, row: Any) -> int:
        return int(row.done)

    @admin.display(description="Failed again")
    def failed(self, row: Any) -> int:
        return int(row.spoilt)

    @admin.display(description="Age", ordering="id")
    def since(self, row: BulkReplay) -> str:
        return age(row.created_at)

    @admin.display(description="Filter")
    def filter_text(self, row: BulkReplay) -> str:
        return preformatted(json.dumps(row.filter, indent=2))
