"""The fixtures of tests that work in process on a database."""

import pytest
from django.test import Client
from pytest_django import Settings

from tests.people import OPERATOR, make_user
from tests.schedules import Beat


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
