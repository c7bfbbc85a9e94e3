"""The fixtures of tests that watch real processes."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.harness.servers import Servers
from tests.harness.system import System
from tests.harness.template import Template


@pytest.fixture(scope="module")
def shared_system(
    servers: Servers,
    template: Template,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[System]:
    """A product for all tests of a module that leave it as they found it: its start costs most."""
    system = System(servers, template, tmp_path_factory.mktemp("system"))
    try:
        with django_db_blocker.unblock():
            yield system
    finally:
        system.close()
