"""The last slots of a schedule as a row of cells: a colour and a sign for each."""

from collections.abc import Iterable

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe

from jobs.models import Slot
from jobs.states import JobState, SlotOutcome

#: White text can be read on each, on a light and on a dark page.
GREEN, RED, BLUE, AMBER, GREY = "#15803d", "#b91c1c", "#1d4ed8", "#b45309", "#6b7280"

#: What a cell shows by the state of the slot's job: its sign, its colour, its meaning.
BY_STATE = {
    JobState.SUCCEEDED: ("✓", GREEN, "succeeded"),
    JobState.FAILED: ("✗", RED, "failed"),
    JobState.RETRYING: ("↻", AMBER, "retrying"),
    JobState.CANCELLED: ("C", GREY, "cancelled"),
    JobState.RUNNING: ("▸", BLUE, "running"),
    JobState.QUEUED: ("…", BLUE, "in line"),
    JobState.WAITING: ("…", BLUE, "in line"),
}

#: And of a slot without one.
BY_OUTCOME = {
    SlotOutcome.FAILED: ("✗", RED, "failed"),
    SlotOutcome.WAITING: ("W", AMBER, "slot waits"),
    SlotOutcome.SKIPPED_BY_OVERLAP: ("O", GREY, "skipped: overlap"),
    SlotOutcome.SKIPPED_BY_PAUSE: ("P", GREY, "skipped: paused"),
    SlotOutcome.SKIPPED_BY_POLICY: ("M", GREY, "skipped: missed"),
}

#: Its job ended so long ago that it has been deleted.
JOB_DELETED = ("·", GREY, "ran; its job is deleted")

#: Tailwind's build has no classes of this size.
CELL = (
    "display:inline-block;width:1.25rem;line-height:1.5rem;text-align:center;color:#fff;"
    "font-size:.75rem;font-weight:600;border-radius:3px"
)


def strip(slots: Iterable[Slot]) -> str:
    """Return a cell for each slot, oldest first; each leads to its job."""
    cells = mark_safe("".join(_cell(slot) for slot in slots))  # noqa: S308  # Of `format_html`.
    if not cells:
        return "-"
    return format_html('<div style="display:flex;gap:2px;width:max-content">{}</div>', cells)


def legend() -> str:
    """Return what the signs mean, each once."""
    looks = dict.fromkeys([*BY_STATE.values(), *BY_OUTCOME.values(), JOB_DELETED])
    rows = ((sign, meaning) for sign, _, meaning in looks)
    return format_html(
        '<div class="text-xs mt-2">Newest on the right. {}</div>',
        format_html_join(", ", "{} {}", rows),
    )


def _cell(slot: Slot) -> str:
    sign, colour, _ = _look(slot)
    words = in_words(slot)
    return format_html(
        '<a href="{}" title="{}" aria-label="{}" style="{};background:{}">{}</a>',
        _page(slot), words, words, CELL, colour, sign,
    )  # fmt: skip


def _look(slot: Slot) -> tuple[str, str, str]:
    if slot.outcome == SlotOutcome.FAILED or slot.job_id is None:
        return BY_OUTCOME.get(SlotOutcome(slot.outcome), JOB_DELETED)
    return BY_STATE[JobState(slot.job.state)] if slot.job else JOB_DELETED


def in_words(slot: Slot) -> str:
    """Return its time, its outcome, its job's state and the error, as far as there are any."""
    job = f"job {slot.job.state}" if slot.job else ""
    by = f"by {slot.asked_by}" if slot.asked_by else ""
    error = slot.error or (slot.job.error if slot.job else "")
    moment = f"{slot.at:%Y-%m-%d %H:%M:%S} UTC"
    return " · ".join(filter(None, (moment, slot.get_outcome_display(), by, job, error)))


def _page(slot: Slot) -> str:
    model, key = ("job", slot.job_id) if slot.job else ("slot", slot.pk)
    return reverse(f"admin:jobs_{model}_change", args=[key])
