"""Checks of the database: that it answers, is migrated, and holds no open dead letters."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from jobs.dead_letters.queries import count_open
from jobs.doctor.findings import Finding, failed, ok, warning


def answers() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ok(f"{connection.vendor} answers")


def is_migrated() -> Finding:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return ok("all applied")
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan[:3])
    return failed(f"{len(plan)} are missing: {names}", "manage.py migrate")


def has_no_open_dead_letters() -> Finding:
    count = count_open()
    if not count:
        return ok("none open")
    return warning(f"{count} open", "manage.py dead_letters list")
