"""Keys of secrets change without a secret lost, and what no key reads is counted."""

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import BinaryField, ExpressionWrapper, F

from jobs import doctor
from notifications.errors import SecretUnreadable
from notifications.models import Notification, WebhookEndpoint
from notifications.operations import endpoints, mails, reencryption
from notifications.operations.reencryption import count_unreadable_endpoints, reencrypt_all
from tests.deliveries import at_once
from tests.outgoing import anew, make_endpoint

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
HTML = "<p>open-sesame</p>"


@pytest.fixture
def keys(settings):
    def use(*keys):
        settings.SECRETS_KEYS = list(keys)

    use(OLD)
    return use


@pytest.fixture
def endpoint(keys, acme):
    """One whose secret was changed, written with the old key."""
    endpoint = make_endpoint(acme, "https://hooks.example.com/")
    endpoints.rotate_secret(tenant_id=acme.pk, endpoint_id=endpoint.pk)
    return anew(endpoint)


@pytest.fixture
def mail(keys, acme):
    return mails.request_mail(
        tenant_id=acme.pk, user_id=None, email="ann@example.com", subject="x", html=HTML
    )


def secrets_of(endpoint):
    now = anew(endpoint)
    return now.secret.get_secret_value(), now.previous_secret.get_secret_value()


def stored(model, column):
    raw = ExpressionWrapper(F(column), output_field=BinaryField())
    return [bytes(token) for token in model.objects.values_list(raw, flat=True)]


class TestTwoKeys:
    def test_read_what_either_wrote_and_write_with_the_first(self, keys, endpoint, acme):
        before = secrets_of(endpoint)
        keys(NEW, OLD)
        newer = make_endpoint(acme, "https://hooks.example.com/")
        assert secrets_of(endpoint) == before

        keys(NEW)
        assert anew(newer).secret.get_secret_value().startswith("whsec_")
        with pytest.raises(SecretUnreadable):
            secrets_of(endpoint)

    def test_come_of_the_secret_key_where_none_is_named(self, settings, acme):
        settings.SECRETS_KEYS = []
        endpoint = make_endpoint(acme, "https://hooks.example.com/")
        settings.SECRET_KEY = "another"
        with pytest.raises(SecretUnreadable, match="SECRETS_KEYS"):
            anew(endpoint).secret.get_secret_value()


class TestReencryptAll:
    def test_lets_the_old_key_be_taken_away(self, keys, endpoint, mail):
        before = secrets_of(endpoint)
        keys(NEW, OLD)

        assert reencrypt_all() == (3, 0)

        keys(NEW)
        assert secrets_of(endpoint) == before
        assert anew(mail).html.get_secret_value() == HTML

    def test_leaves_what_the_first_key_wrote(self, keys, endpoint, mail):
        keys(NEW, OLD)
        reencrypt_all()
        before = stored(WebhookEndpoint, "secret") + stored(Notification, "html")
        assert reencrypt_all() == (0, 0)
        assert stored(WebhookEndpoint, "secret") + stored(Notification, "html") == before

    def test_counts_what_no_key_reads_and_does_the_rest(self, keys, endpoint, mail, acme):
        keys(OTHER)
        make_endpoint(acme, "https://hooks.example.com/")
        keys(NEW, OTHER)
        assert reencrypt_all() == (1, 3)

    def test_passes_through_all_batches(self, keys, acme, monkeypatch):
        monkeypatch.setattr(reencryption, "BATCH_ROWS", 2)
        for _ in range(5):
            make_endpoint(acme, "https://hooks.example.com/")
        keys(NEW, OLD)
        assert reencrypt_all() == (5, 0)

    def test_loses_no_secret_that_is_changed_meanwhile(self, keys, endpoint):
        keys(NEW, OLD)

        def rotate():
            return endpoints.rotate_secret(tenant_id=None, endpoint_id=endpoint.pk)[1]

        secret, *_ = at_once(rotate, reencrypt_all, reencrypt_all)

        reencrypt_all()
        keys(NEW)
        assert secrets_of(endpoint)[0] == secret


class TestTheCommand:
    def test_says_how_many(self, keys, endpoint, mail, capsys):
        keys(NEW, OLD)
        call_command("reencrypt_secrets")
        assert capsys.readouterr().out == "Encrypted again with the first key: 3.\n"

    def test_fails_where_something_can_not_be_read(self, keys, endpoint, mail, capsys):
        keys(NEW)
        with pytest.raises(CommandError, match="^3 could not be read") as failed:
            call_command("reencrypt_secrets")
        assert failed.value.returncode == 1
        assert "first key: 0." in capsys.readouterr().out


class TestTheDoctor:
    def test_finds_nothing_wrong_where_all_can_be_read(self, keys, endpoint):
        finding = doctor.examine()["secrets"]
        assert (finding.status, finding.remedy) == ("ok", "")

    def test_counts_endpoints_that_no_key_reads(self, keys, endpoint, acme):
        keys(NEW)
        make_endpoint(acme, "https://hooks.example.com/")
        finding = doctor.examine()["secrets"]
        assert finding.status == "failed"
        assert finding.found.startswith("1 webhook endpoint")
        assert "SECRETS_KEYS" in finding.remedy

    def test_counts_an_endpoint_whose_old_secret_alone_can_not_be_read(self, keys, endpoint):
        # Given a re-encryption that was cut between the two columns: no read of the row succeeds
        keys(NEW, OLD)
        reencryption._reencrypt(
            WebhookEndpoint, "secret", endpoint.pk, stored(WebhookEndpoint, "secret")[0]
        )
        keys(NEW)
        assert count_unreadable_endpoints() == 1

    def test_does_not_show_the_secret(self, keys, endpoint):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE notifications_webhookendpoint SET secret = 'garbage'::bytea")
        finding = doctor.examine()["secrets"]
        assert "garbage" not in f"{finding}"
        assert finding.status == "failed"
