"""Wakes the relay when a transaction that stored jobs commits. PostgreSQL only."""

from collections.abc import Callable
from typing import Any

from django.db import migrations

#: A statement trigger: no round trip of the caller's, and rows that other programs insert wake the
#: relay too. PostgreSQL delivers equal notifications of one transaction once.
CREATE = """
CREATE FUNCTION jobs_notify_relay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('jobs_due', '');
    RETURN NULL;
END $$;
CREATE TRIGGER jobs_notify_relay AFTER INSERT ON jobs_job
    FOR EACH STATEMENT EXECUTE FUNCTION jobs_notify_relay();
"""

DROP = """
DROP TRIGGER jobs_notify_relay ON jobs_job;
DROP FUNCTION jobs_notify_relay();
"""


def on_postgres(sql: str) -> Callable[..., None]:
    def run(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(sql)

    return run


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [migrations.RunPython(on_postgres(CREATE), on_postgres(DROP))]
