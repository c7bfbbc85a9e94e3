"""Tells of a check that begins to fail, and of one that fails no longer; of none that stays."""

from collections.abc import Mapping
from datetime import datetime

from jobs.alerts.operations import raise_alert
from jobs.doctor import Finding, Status
from jobs.health import history
from jobs.states import AlertKind


def tell(findings: Mapping[str, Finding], *, at: datetime) -> None:
    """
    Alert of each check whose state has changed since the look before; in the caller's transaction.

    Losing the race to a look that began later means that this one's news is old: it is history,
    and nobody is told. Losing it to one that is stored at the same moment, unseen by this one,
    means that both saw the same change: the second waits for the incident's row, finds that the
    first has alerted since it began, and stays silent.
    """
    if history.is_overtaken(at):
        return
    for name in sorted(findings):  # One order for all: each locks the rows of its incidents.
        before, finding = history.status_before(name, at), findings[name]
        if (before == Status.FAILED) != (finding.status == Status.FAILED):
            _alert(name, finding, at)


def _alert(name: str, finding: Finding, at: datetime) -> None:
    fails = finding.status == Status.FAILED
    raise_alert(
        AlertKind.HEALTH,
        fingerprint=f"health:{'failed' if fails else 'well'}:{name}",
        message=f"Health check {name} {'fails' if fails else 'fails no longer'}: {finding.found}",
        data={
            "type": "health",
            "check": name,
            "status": finding.status.value,
            "found": finding.found,
            "remedy": finding.remedy,
            "since": history.failing_since(name, at).isoformat(),
        },
        severity="error" if fails else "info",
        # An alert from before this look was of another change: the check was well in between.
        since=at,
    )
