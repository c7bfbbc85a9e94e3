"""The engine's tables. Only `jobs.engine.lifecycle` writes the state of a job."""

from jobs.models.alert import Alert, AlertDelivery
from jobs.models.audit import AuditEntry
from jobs.models.dead_letter import BulkReplay, DeadLetter, Incident, TenantIncident
from jobs.models.health import HealthCheck
from jobs.models.hold import PartitionHold
from jobs.models.job import Attempt, Job, JobQuerySet
from jobs.models.metrics import DailyMetric, Event, MetricsState
from jobs.models.process import Process, ProcessQuerySet
from jobs.models.request import IdempotentRequest
from jobs.models.schedule import (
    ScheduleCursor,
    SchedulePolicy,
    ScheduleRevision,
    ScheduleSeed,
    Slot,
)
from jobs.models.workflow import Workflow, WorkflowChange, WorkflowStep, WorkflowTimer

__all__ = [
    "Alert",
    "AlertDelivery",
    "Attempt",
    "AuditEntry",
    "BulkReplay",
    "DailyMetric",
    "DeadLetter",
    "Event",
    "HealthCheck",
    "IdempotentRequest",
    "Incident",
    "Job",
    "JobQuerySet",
    "MetricsState",
    "PartitionHold",
    "Process",
    "ProcessQuerySet",
    "ScheduleCursor",
    "SchedulePolicy",
    "ScheduleRevision",
    "ScheduleSeed",
    "Slot",
    "TenantIncident",
    "Workflow",
    "WorkflowChange",
    "WorkflowStep",
    "WorkflowTimer",
]
