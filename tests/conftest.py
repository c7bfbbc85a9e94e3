"""The fixtures of all tests. Servers start when the first test that needs them does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from project.services import Postgres, RabbitMQ
from tests.harness.plugin import SERVERS, lack
from tests.harness.servers import Servers
from tests.harness.system import System
from tests.harness.template import Template, make_template


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    """Both servers of this run, not started yet."""
    return request.config.stash[SERVERS]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: Servers) -> None:
    """Start PostgreSQL before pytest-django creates its database, where settings name it."""
    from django.conf import settings

    if settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        servers.start_postgres()


@pytest.fixture(scope="session")
def template(servers: Servers) -> Iterator[Template]:
    servers.start_both()
    template = make_template(servers)
    yield template
    servers.postgres.drop_database(template.name)


@pytest.fixture
def system(
    servers: Servers, template: Template, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> Iterator[System]:
    """A product of this test's own; start its processes yourself. All end with the test."""
    system = System(servers, template, tmp_path)
    try:
        with django_db_blocker.unblock():  # For `system.orm()`.
            yield system
    finally:
        servers.revive()
        system.close()


@pytest.fixture
def own_postgres(servers: Servers) -> Iterator[Postgres]:
    """The PostgreSQL server, for a test that stops it; it runs again after the test."""
    postgres = servers.start_postgres()
    if not isinstance(postgres, Postgres):
        lack("TEST_DATABASE_URL names a server that this test would have to stop.")
    assert isinstance(postgres, Postgres)
    yield postgres
    servers.revive()


@pytest.fixture
def own_rabbitmq(servers: Servers) -> Iterator[RabbitMQ]:
    """The RabbitMQ server, for a test that stops it; it runs again after the test."""
    rabbitmq = servers.start_rabbitmq()
    if not isinstance(rabbitmq, RabbitMQ):
        lack("TEST_BROKER_URL names a server that this test would have to stop.")
    assert isinstance(rabbitmq, RabbitMQ)
    yield rabbitmq
    servers.revive()
