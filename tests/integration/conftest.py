"""The fixtures of tests that work in process on a database."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from notifications.models import WebhookEndpoint
from project.accounts.models import Tenant, User
from project.accounts.scopes import Role
from tests import workflow_drills
from tests.outgoing import make_endpoint, trust_loopback
from tests.people import OPERATOR, make_member, make_tenant, make_user
from tests.schedules import Beat
from tests.webhook_receiver import WebhookReceiver, webhook_receiver


@pytest.fixture(autouse=True)
def cheap_passwords(settings: Settings) -> None:
    """Hash passwords in microseconds; the real hasher takes half a second for each on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def admin(client: Client) -> Client:
    """The browser of an operator who may do everything."""
    client.force_login(make_user(OPERATOR, is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Beat:
    """A beat whose clock the test moves."""
    return Beat(monkeypatch)


@pytest.fixture
def acme() -> Tenant:
    return make_tenant("acme")


@pytest.fixture
def ann(acme: Tenant) -> User:
    """An administrator of acme's."""
    return make_member(acme, role=Role.ADMIN)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A receiver of webhooks on loopback, which accepts what it is told nothing about."""
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def endpoint(acme: Tenant, receiver: WebhookReceiver) -> WebhookEndpoint:
    """Acme's endpoint at that receiver, for modules that trust loopback."""
    return make_endpoint(acme, receiver.url)


@pytest.fixture
def patient_breaker(settings: Settings) -> None:
    """For tests of single deliveries, on loopback; test_breaker.py is about many."""
    trust_loopback(settings)
    settings.NOTIFICATIONS_BREAKER_FAILURES = 1_000


@pytest.fixture
def acts() -> Iterator[dict[str, Callable[[Any], Any]]]:
    """Let the drills' workflows be known, and return what they do instead of their own."""
    with workflow_drills.known() as script:
        yield script
