"""Owns every log line of workflows."""

import logging
from typing import TYPE_CHECKING, Any

import structlog

from jobs.states import WorkflowStatus

if TYPE_CHECKING:
    from jobs.models import Workflow

log: Any = structlog.get_logger("jobs.workflows")


def started(workflow: "Workflow") -> None:
    log.info("workflow.started", **_about(workflow))


def ended(workflow: "Workflow") -> None:
    good = workflow.status in (WorkflowStatus.COMPLETED, WorkflowStatus.CANCELLED)
    level = logging.INFO if good else logging.ERROR
    log.log(level, f"workflow.{workflow.status}", error=workflow.error, **_about(workflow))


def timer_fired(workflow: "Workflow", name: str) -> None:
    log.info("workflow.timer_fired", timer=name, **_about(workflow))


def restarted(old: "Workflow", new: "Workflow", by: str) -> None:
    log.info("workflow.restarted", restart_of=str(old.pk), by=by, **_about(new))


def not_restarted(old: "Workflow", why: BaseException) -> None:
    log.warning("workflow.not_restarted", error=str(why), exc_info=why, **_about(old))


def _about(workflow: "Workflow") -> dict[str, Any]:
    return {
        "workflow_id": str(workflow.pk),
        "name": workflow.name,
        "tenant_id": str(workflow.tenant_id),
        "step_number": workflow.step_number,
    }
