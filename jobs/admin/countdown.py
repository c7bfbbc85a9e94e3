"""How long it is until a moment, ticking in the browser."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.html import format_html


def countdown(moment: datetime | None) -> str:
    """Return what `countdown.js` ticks, with the moment itself on hover."""
    if moment is None:
        return "-"
    left = moment - timezone.now()
    return format_html(
        '<time class="tabular-nums whitespace-nowrap" datetime="{}" title="{}" '
        'data-seconds-left="{}">{}</time>',
        moment.isoformat(),
        in_utc(moment),
        f"{left.total_seconds():.2f}",
        clock(left),
    )


def clock(left: timedelta) -> str:
    """Return a span as a clock shows it: "4:05", "1:04:05", "2 d 01:04:05"; "due" when it is up."""
    if left <= timedelta(0):
        return "due"
    minutes, seconds = divmod(left.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if left.days:
        return f"{left.days} d {hours:02}:{minutes:02}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def in_utc(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
