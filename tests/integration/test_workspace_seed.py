"""`seed_demo` writes the same demonstration, however often it runs."""

import json

import pytest
from django.core.management import CommandError, call_command

from project.accounts.models import Membership, Tenant, User
from project.workspace import operations
from project.workspace.demo.hostile import HOSTILE
from project.workspace.demo.items import item_at
from project.workspace.demo.people import OPERATOR, TENANTS
from project.workspace.models import Item, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def seed(capsys):
    def run(**options):
        call_command("seed_demo", json=True, **options)
        return json.loads(capsys.readouterr().out)

    return run


def rows() -> list[tuple[object, ...]]:
    return list(Item.objects.order_by("id").values_list())


class TestSeedDemo:
    def test_makes_two_tenants_with_people_projects_and_items(self, seed):
        outcome = seed(items=101, password="tiger-lily-9")
        assert outcome["items_created"] == 101
        assert [tenant["items"] for tenant in outcome["tenants"]] == [51, 50]
        for tenant in Tenant.objects.all():
            roles = set(tenant.memberships.values_list("role", flat=True))
            assert {"owner", "member"} <= roles
            assert tenant.projects.count() >= 5

    def test_lets_everybody_sign_in_and_the_operator_into_the_admin(self, seed, client):
        seed(items=0, password="tiger-lily-9")
        for demo in TENANTS:
            for person in demo.people:
                assert client.login(username=person.email, password="tiger-lily-9")
        assert client.login(username=OPERATOR.email, password="tiger-lily-9")
        assert client.get("/admin/").status_code == 200

    def test_makes_a_password_and_says_it_once(self, seed, client):
        password = seed(items=0)["password"]
        assert client.login(username=OPERATOR.email, password=password)
        assert seed(items=0)["password"] is None
        assert client.login(username=OPERATOR.email, password=password)

    def test_changes_nothing_at_the_second_run(self, seed):
        seed(items=60)
        before = rows(), list(Membership.objects.values_list()), list(Project.objects.values_list())
        assert seed(items=60)["items_created"] == 0
        after = rows(), list(Membership.objects.values_list()), list(Project.objects.values_list())
        assert after == before
        assert User.objects.count() == 5

    def test_adds_only_what_is_missing(self, seed):
        seed(items=60)
        whole = rows()
        Item.objects.filter(sku__endswith="3").delete()
        assert 0 < seed(items=60)["items_created"] < 60
        assert rows() == whole
        assert seed(items=80)["items_created"] == 20

    def test_makes_the_same_rows_in_an_empty_database(self, seed):
        seed(items=60)
        first = rows()
        Tenant.objects.all().delete()
        seed(items=60)
        assert rows() == first

    def test_refuses_a_negative_number(self, seed):
        with pytest.raises(CommandError, match="--items"):
            seed(items=-1)

    def test_says_in_words_what_it_made(self, capsys):
        call_command("seed_demo", items=2, password="tiger-lily-9")
        out = capsys.readouterr().out
        assert "2 items created." in out
        assert "Admin: admin@offload.example" in out
        assert "tiger-lily-9" in out


class TestSeedItems:
    def test_stores_every_value_as_it_was_made(self):
        # Given all hostile values, which COPY and the ORM must both carry unchanged
        demo = TENANTS[0]
        tenant = operations.seed_tenant(demo=demo, password="x", force_password=False)
        operations.seed_items(demo=demo, tenant=tenant, count=500)
        stored = {item.pk: item for item in Item.objects.select_related("project")}

        assert {row.name for row in HOSTILE} <= {item.name for item in stored.values()}
        for number in range(500):
            row = item_at(demo, number)
            item = stored[row.id]
            assert item.project.name == demo.projects[row.project]
            for column in ("sku", "name", "description", "quantity", "price", "created_at"):
                assert getattr(item, column) == getattr(row, column)
            assert item.tags == list(row.tags)
            assert item.updated_at == row.created_at

    def test_continues_where_it_was_interrupted(self, monkeypatch):
        # Given chunks of 10 rows, and a run that is stopped after the second
        monkeypatch.setattr(operations, "CHUNK_ROWS", 10)
        demo = TENANTS[0]
        tenant = operations.seed_tenant(demo=demo, password="x", force_password=False)

        def stop_after_two(_: int) -> None:
            if Item.objects.count() >= 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            operations.seed_items(demo=demo, tenant=tenant, count=35, on_rows=stop_after_two)

        # When it runs again, then it adds the rest
        assert operations.seed_items(demo=demo, tenant=tenant, count=35) == 15
        assert Item.objects.count() == 35
