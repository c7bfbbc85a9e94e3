"""Owns every log line of the engine: one function an event, each with its context."""

import logging
from typing import TYPE_CHECKING, Any

import structlog
from kombu.utils.encoding import safe_repr

if TYPE_CHECKING:
    from jobs.models import Alert, BulkReplay, DeadLetter, Job

log: Any = structlog.get_logger("jobs")


def about(job: "Job") -> dict[str, Any]:
    """Return the context that every line about a job carries."""
    return {
        "job_id": str(job.pk),
        "type": job.type,
        "tenant_id": str(job.tenant_id),
        "dispatch": job.dispatch,
        "attempt": job.attempt,
    }


def enqueued(job: "Job") -> None:
    if log.isEnabledFor(logging.DEBUG):
        log.debug("job.enqueued", **about(job))


def enqueued_many(job_type: str, count: int) -> None:
    log.debug("jobs.enqueued", type=job_type, count=count)


def replayed(old: "Job", new: "Job", by: str) -> None:
    log.info("job.replayed", replay_of=str(old.pk), by=by, **about(new))


def claimed(job: "Job") -> None:
    if log.isEnabledFor(logging.DEBUG):
        log.debug("job.claimed", **about(job))


def taken_over(job: "Job") -> None:
    log.warning("job.taken_over", losses=job.losses, **about(job))


def copy_ignored(job_id: str, dispatch: int, reason: str) -> None:
    log.info("job.copy_ignored", job_id=job_id, dispatch=dispatch, reason=reason)


def copy_rejected(job_id: str, dispatch: int, reason: str) -> None:
    log.warning("job.copy_rejected", job_id=job_id, dispatch=dispatch, reason=reason)


def succeeded(job: "Job") -> None:
    if log.isEnabledFor(logging.INFO):
        log.info("job.succeeded", **about(job))


def retried(job: "Job", error: BaseException, seconds: float) -> None:
    log.warning("job.retried", error=safe_repr(error), retry_in_seconds=seconds, **about(job))


def failed(job: "Job", error: BaseException) -> None:
    log.error(
        "job.failed",
        payload=job.payload,
        failures=job.failures,
        losses=job.losses,
        exc_info=(type(error), error, error.__traceback__),
        **about(job),
    )


def put_back(job: "Job", why: str) -> None:
    log.warning("job.put_back", why=why, **about(job))


def cancelled(job: "Job", by: str) -> None:
    log.info("job.cancelled", by=by, **about(job))


def heartbeat_refused(job: "Job") -> None:
    log.warning("job.heartbeat_refused", **about(job))


def stood_down(job: "Job", why: str) -> None:
    log.warning("job.stood_down", why=why, **about(job))


def type_unknown(headers: Any, error: BaseException) -> None:
    log.error("message.type_unknown", type=str(error), **_ids(headers))


def properties_unreadable(error: BaseException) -> None:
    log.error("message.properties_unreadable", error=safe_repr(error))


def message_refused(headers: Any, error: BaseException) -> None:
    log.error("message.refused", error=str(error), **_ids(headers))


def _ids(headers: Any) -> dict[str, Any]:
    """Return what a message says of itself, however odd."""
    named = headers if isinstance(headers, dict) else {}
    return {"job_id": safe_repr(named.get("id")), "task": safe_repr(named.get("task"))}


def dead_lettered(letter: "DeadLetter") -> None:
    """The one line that is written for each dead letter, whoever else is told of it."""
    log.error(
        "job.dead_lettered",
        dead_letter_id=str(letter.pk),
        job_id=str(letter.job_id),
        type=letter.type,
        tenant_id=str(letter.tenant_id),
        user_id=str(letter.user_id),
        queue=letter.queue,
        reason=letter.reason,
        dispatch=letter.dispatch,
        attempts=letter.attempts,
        error_type=letter.error_type,
        error=letter.error,
        place=letter.place,
        worker=letter.worker,
        state=letter.state,
    )


def death_undone(job: "Job", reason: str) -> None:
    log.warning("job.death_undone", state=job.state, reason=reason, **about(job))


def record_failed(error: BaseException, seconds: float) -> None:
    log.error(
        "dead_letter.not_stored",
        retry_in_seconds=seconds,
        exc_info=(type(error), error, error.__traceback__),
    )


def alerted(alert: "Alert") -> None:
    level = logging.INFO if alert.severity == "info" else logging.ERROR
    log.log(level, "alert.raised", alert_id=str(alert.pk), kind=alert.kind, message=alert.message)


def alert_not_delivered(alert: "Alert", channel: str, error: BaseException) -> None:
    log.warning(
        "alert.not_delivered", alert_id=str(alert.pk), channel=channel, error=safe_repr(error)
    )


def watch_failed(error: BaseException) -> None:
    log.error("watch.failed", exc_info=(type(error), error, error.__traceback__))


def dead_letter_replayed(letter: "DeadLetter", job: "Job", by: str) -> None:
    log.info("dead_letter.replayed", dead_letter_id=str(letter.pk), by=by, **about(job))


def dead_letter_discarded(letter: "DeadLetter", by: str, reason: str) -> None:
    log.info("dead_letter.discarded", dead_letter_id=str(letter.pk), by=by, reason=reason)


def bulk_replay_ended(bulk: "BulkReplay") -> None:
    log.info(
        "bulk_replay.ended",
        bulk_replay_id=str(bulk.pk),
        state=bulk.state,
        matched=bulk.matched,
        replayed=bulk.replayed,
        refused=bulk.refused,
        note=bulk.note,
    )


def dead_letters_sent(count: int) -> None:
    log.warning("relay.dead_letters_sent", dead_letters=count)


def relayed(count: int, seconds: float) -> None:
    log.debug("relay.sent", jobs=count, seconds=round(seconds, 4))


def returned(job_id: str, reason: str) -> None:
    log.error("relay.returned", job_id=job_id, reason=reason)


def relay_waits(what: str, error: BaseException, seconds: float) -> None:
    log.warning("relay.waits", on=what, error=str(error), retry_in_seconds=seconds)


def recovered(silent: int, copied: int, failed_jobs: int) -> None:
    log.warning("recovery.swept", put_back=silent, copies=copied, failed=failed_jobs)


def recovery_failed(job: "Job | None", error: BaseException) -> None:
    about_it = about(job) if job else {}
    log.error("recovery.failed", exc_info=(type(error), error, error.__traceback__), **about_it)


def database_away(what: str, error: BaseException, seconds: float) -> None:
    log.warning("database.away", during=what, error=str(error), retry_in_seconds=seconds)


def no_relay() -> None:
    log.warning("relay.none", hint="No relay has shown a sign of life: start `manage.py relay`.")


def topology_refused(queue: str, reason: str) -> None:
    log.error("topology.refused", queue=queue, reason=reason)


def part_failed(part: str, error: BaseException) -> None:
    log.error("part.failed", part=part, exc_info=(type(error), error, error.__traceback__))
