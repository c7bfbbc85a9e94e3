"""The probes: alive without I/O, ready only with a database that has all migrations."""

from pathlib import Path

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from jobs import migrations
from project import health


@pytest.fixture(autouse=True)
def _nothing_remembered():
    health._migrations.cache_clear()
    yield
    health._migrations.cache_clear()


class TestHealthz:
    def test_answers_without_the_database(self, client):
        answer = client.get("/healthz")  # pytest-django forbids the database here.
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    def test_answers_by_any_host_name_and_without_tls(self, client, settings):
        settings.SECURE_SSL_REDIRECT = True
        assert client.get("/healthz", headers={"Host": "10.1.2.3:8000"}).status_code == 200


#: The newest migration of the engine, whatever its name.
LAST = max(path.stem for path in Path(migrations.__file__).parent.glob("0*.py"))


@pytest.mark.django_db
class TestReadyz:
    def test_is_ready_with_a_migrated_database(self, client):
        answer = client.get("/readyz")
        assert answer.status_code == 200
        assert answer.json()["checks"] == {"database": "ok", "migrations": "ok"}

    def test_is_not_ready_before_the_last_migration(self, client):
        MigrationRecorder(connection).record_unapplied("jobs", LAST)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"database": "ok", "migrations": "failed"}

    def test_sees_that_the_migration_was_run_meanwhile(self, client):
        recorder = MigrationRecorder(connection)
        recorder.record_unapplied("jobs", LAST)
        assert client.get("/readyz").status_code == 503
        recorder.record_applied("jobs", LAST)
        assert client.get("/readyz").status_code == 200
