"""The engine's tables. Only `jobs.engine.lifecycle` writes the state of a job."""

from jobs.models.alert import Alert, AlertDelivery
from jobs.models.audit import AuditEntry
from jobs.models.dead_letter import BulkReplay, DeadLetter, Incident
from jobs.models.job import Attempt, Job, JobQuerySet
from jobs.models.process import Process, ProcessQuerySet
from jobs.models.request import IdempotentRequest

__all__ = [
    "Alert",
    "AlertDelivery",
    "Attempt",
    "AuditEntry",
    "BulkReplay",
    "DeadLetter",
    "IdempotentRequest",
    "Incident",
    "Job",
    "JobQuerySet",
    "Process",
    "ProcessQuerySet",
]
