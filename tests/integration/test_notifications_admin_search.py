"""What the admin's lists of mails, endpoints and deliveries find, and by which index."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.models import MailPreference, Notification, WebhookDelivery, WebhookEndpoint
from tests.notification_pages import leave_rows, list_of, make_lamp_shop, page_of, text_of
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

MODELS = {
    "webhookendpoint": WebhookEndpoint,
    "webhookdelivery": WebhookDelivery,
    "notification": Notification,
    "mailpreference": MailPreference,
}
#: Enough that an index is worth it, of a hundred people who get as many each.
LEAVE_MAILS = """
    INSERT INTO notifications_notification
        (id, tenant_id, email, subject, html, status, attempts, error)
    SELECT gen_random_uuid(), %s, 'person' || n %% 100 || '@example.com', '', '', 'sent', 1, ''
    FROM generate_series(1, 20000) n
"""


@pytest.fixture
def row_of(acme):
    """One row of each model, by the model's name."""
    leave_rows(acme, 1)
    return {name: model._default_manager.get() for name, model in MODELS.items()}


def finds(admin, row, wanted: str) -> bool:
    page = text_of(admin.get(list_of(row._meta.model_name), {"q": wanted}))
    return page_of(row) in page


class TestEveryList:
    @pytest.mark.parametrize(
        ("model", "names"),
        [
            ("webhookendpoint", ("pk", "tenant_id")),
            ("webhookdelivery", ("pk", "job_id", "endpoint_id", "tenant_id")),
            ("notification", ("pk", "job_id", "tenant_id")),
            ("mailpreference", ("user_id",)),
        ],
    )
    def test_finds_whole_ids(self, admin, row_of, model, names):
        for name in names:
            assert finds(admin, row_of[model], str(getattr(row_of[model], name)))

    @pytest.mark.parametrize("model", MODELS)
    def test_survives_nonsense(self, admin, row_of, model):
        for wanted in ("' OR 1=1", "@", "(", ".*", "[", "\\", "%", str(uuid.uuid4())):
            assert not finds(admin, row_of[model], wanted)

    @pytest.mark.parametrize("model", ["webhookdelivery", "notification", "mailpreference"])
    def test_of_many_rows_finds_no_parts_of_texts(self, admin, row_of, model):
        assert not finds(admin, row_of[model], "lamp")

    @pytest.mark.parametrize(
        ("model", "lookup"),
        [
            ("webhookendpoint", "secret"),
            ("webhookendpoint", "previous_secret__isnull"),
            ("webhookdelivery", "endpoint__secret"),
            ("notification", "html__gt"),
        ],
    )
    @pytest.mark.usefixtures("row_of")
    def test_refuses_to_look_into_what_is_encrypted(self, admin, model, lookup):
        assert admin.get(list_of(model), {lookup: "x"}).status_code == 400


class TestEndpoints:
    @pytest.fixture
    def endpoint(self):
        return make_lamp_shop(make_tenant("globex"), url="https://hooks.example:8443/t0ken?k=v")

    @pytest.mark.parametrize(
        "wanted",
        ["lamp shop", "LAMP", "hooks.example", "Example:8443", "s.ex", "Globex", " glob "],
    )
    def test_are_found_by_description_host_and_tenant(self, admin, endpoint, wanted):
        assert finds(admin, endpoint, wanted)

    @pytest.mark.parametrize("wanted", ["t0ken", "k=v", "hooksxexample", "acme", "https"])
    def test_are_not_found_by_what_may_be_a_secret_or_is_another(self, admin, endpoint, wanted):
        assert not finds(admin, endpoint, wanted)


class TestMails:
    @pytest.mark.parametrize("wanted", ["Ann@example.com", "ann@EXAMPLE.com", " ann@example.com "])
    def test_are_found_by_their_whole_address(self, admin, row_of, wanted):
        Notification.objects.update(email="Ann@example.com")
        assert finds(admin, row_of["notification"], wanted)

    @pytest.mark.parametrize("wanted", ["ann@example", "nn@example.com", "%@example.com", "ann"])
    def test_are_not_found_by_a_part_of_it(self, admin, row_of, wanted):
        Notification.objects.update(email="ann@example.com")
        assert not finds(admin, row_of["notification"], wanted)

    def test_are_found_by_an_index(self, admin, acme):
        # Given many mails, as many to each of a hundred people
        with connection.cursor() as cursor:
            cursor.execute(LEAVE_MAILS, [acme.pk])
            cursor.execute("ANALYZE notifications_notification")

        # When the list is asked for one person's
        with CaptureQueriesContext(connection) as queries:
            page = text_of(admin.get(list_of("notification"), {"q": "PERSON7@example.com"}))

        # Then it shows those, and no statement has read the table from end to end
        assert "200 notifications" in page
        asked = [each["sql"] for each in queries if "PERSON7" in each["sql"]]
        assert len(asked) == 2  # How many, and the first page of them.
        for sql in asked:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {sql}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
            assert "notifications_by_address" in plan
            assert "Seq Scan on notifications_notification" not in plan
