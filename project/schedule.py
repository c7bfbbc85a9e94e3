"""The cron table of the product (UTC). Rows are editable in the admin; see `sync_schedules`."""

from jobs.schedules.cron_table import CronJob

SCHEDULES = (
    CronJob(
        name="daily_cleanup",
        cron="0 0 * * *",
        task="upkeep.start_cleanup",
        description="Starts each part of the nightly clean-up as a job of its own.",
        # A part that still runs is not started again; that is no reason to skip the others.
        overlap="allow",
    ),
    CronJob(
        name="aggregate_metrics",
        cron="0 */6 * * *",
        task="metrics.aggregate_metrics",
        description="Counts events per tenant, name and day.",
    ),
    CronJob(
        name="health_check",
        cron="*/5 * * * *",
        task="health.check_health",
        description="Looks at all that doctor looks at, and alerts of what has changed.",
        missed="skip",
    ),
)
