"""The admin's pages of the engine: rows that only operations write."""

from jobs.admin.bulk_replays import BulkReplayAdmin
from jobs.admin.dead_letters import DeadLetterAdmin
from jobs.admin.health import HealthCheckAdmin
from jobs.admin.incidents import AlertAdmin, AuditEntryAdmin, IncidentAdmin
from jobs.admin.jobs import JobAdmin
from jobs.admin.metrics import DailyMetricAdmin
from jobs.admin.schedule_times import ClockedAdmin, CrontabAdmin, IntervalAdmin, SolarAdmin
from jobs.admin.schedules import ScheduleAdmin
from jobs.admin.slots import ScheduleRevisionAdmin, SlotAdmin
from jobs.admin.workflows import WorkflowAdmin

__all__ = [
    "AlertAdmin",
    "AuditEntryAdmin",
    "BulkReplayAdmin",
    "ClockedAdmin",
    "CrontabAdmin",
    "DailyMetricAdmin",
    "DeadLetterAdmin",
    "HealthCheckAdmin",
    "IncidentAdmin",
    "IntervalAdmin",
    "JobAdmin",
    "ScheduleAdmin",
    "ScheduleRevisionAdmin",
    "SlotAdmin",
    "SolarAdmin",
    "WorkflowAdmin",
]
