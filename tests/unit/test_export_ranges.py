"""
Every key falls into exactly one range, and the parts of the ranges make the file.

A run of unit tests alone uses SQLite; tests/integration/test_export_parts.py starts one.
"""

import json
import uuid
from itertools import pairwise

import pytest
from django_celery_results.models import TaskResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports import datasets
from exports.datasets import get_dataset, register_dataset
from exports.models import Export
from exports.object_store.file import FileStore
from exports.parts.ranges import KeyRange, cut, fitting, rows_within
from project.accounts.models import Session
from project.workspace.models import Item, Project
from tests.exporting_parts import content, of_a_single_job, put_together, write_all
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

MOMENT = "2026-02-03T04:05:06Z"


@pytest.fixture
def project():
    return Project.objects.create(tenant=make_tenant(), name="Autumn")


def add_items(project, keys):
    return Item.objects.bulk_create(
        Item(pk=key, tenant=project.tenant, project=project, sku=str(key), name="x") for key in keys
    )


def keys_in(dataset, tenant_id, key_range):
    return list(rows_within(dataset, tenant_id, key_range).values_list("pk", flat=True))


def keys_by_range(dataset, tenant_id, rows_per_part):
    ranges = cut(dataset, tenant_id, rows_per_part=rows_per_part)
    return [keys_in(dataset, tenant_id, each) for each in ranges]


def all_keys(dataset, tenant_id):
    return list(dataset.rows(tenant_id).values_list("pk", flat=True))


class TestCut:
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(keys=st.sets(st.uuids(), max_size=40), rows_per_part=st.integers(1, 12))
    def test_puts_every_key_into_exactly_one_range(self, project, keys, rows_per_part):
        Item.objects.all().delete()
        add_items(project, keys)
        items, tenant_id = get_dataset("items"), project.tenant_id

        found = keys_by_range(items, tenant_id, rows_per_part)

        assert sum(found, []) == all_keys(items, tenant_id)
        assert set(sum(found, [])) == keys
        assert [len(each) for each in found[:-1]] == [rows_per_part] * (len(found) - 1)
        assert all(0 < len(each) <= rows_per_part for each in found)

    @pytest.mark.parametrize(
        ("rows", "parts"), [(0, 0), (1, 1), (2, 1), (3, 1), (4, 2), (6, 2), (7, 3)]
    )
    def test_makes_as_many_ranges_as_it_takes(self, project, rows, parts):
        add_items(project, [uuid.uuid4() for _ in range(rows)])
        ranges = cut(get_dataset("items"), project.tenant_id, rows_per_part=3)
        assert [each.number for each in ranges] == list(range(1, parts + 1))

    def test_begins_before_every_key_and_ends_with_the_greatest(self, project):
        keys = sorted(item.pk for item in add_items(project, [uuid.uuid4() for _ in range(5)]))
        assert cut(get_dataset("items"), project.tenant_id, rows_per_part=2) == [
            KeyRange(1, None, str(keys[1])),
            KeyRange(2, str(keys[1]), str(keys[3])),
            KeyRange(3, str(keys[3]), str(keys[4])),
        ]

    def test_leaves_out_what_is_added_later_with_a_greater_key(self, project):
        [low, middle, high] = (uuid.UUID(int=number) for number in (1, 2, 3))
        add_items(project, [low, high])
        items, tenant_id = get_dataset("items"), project.tenant_id
        [only] = cut(items, tenant_id, rows_per_part=10)

        add_items(project, [middle, uuid.UUID(int=4)])

        assert keys_in(items, tenant_id, only) == [low, middle, high]

    def test_knows_the_tenants_own_rows_only(self, project):
        stranger = Project.objects.create(tenant=make_tenant("globex"), name="Secret")
        ours = [item.pk for item in add_items(project, [uuid.UUID(int=n) for n in (2, 4)])]
        add_items(stranger, [uuid.UUID(int=n) for n in (1, 3, 5)])
        found = keys_by_range(get_dataset("items"), project.tenant_id, 1)
        assert found == [[ours[0]], [ours[1]]]

    def test_asks_once(self, project, django_assert_num_queries):
        add_items(project, [uuid.uuid4() for _ in range(9)])
        with django_assert_num_queries(1):
            cut(get_dataset("items"), project.tenant_id, rows_per_part=2)

    @pytest.mark.parametrize("rows_per_part", [0, -1])
    def test_refuses_parts_without_rows(self, project, rows_per_part):
        with pytest.raises(ValueError, match="give 1 or more"):
            cut(get_dataset("items"), project.tenant_id, rows_per_part=rows_per_part)


class TestFitting:
    """Ranges that take too many bytes become fewer, and hold the same keys."""

    @pytest.fixture
    def ranges(self):
        ends = [None, *(f"key {number:02}" for number in range(1, 14))]
        return [KeyRange(n, ends[n - 1], str(ends[n])) for n in range(1, 14)]

    @pytest.mark.parametrize(
        ("size_bytes", "left"), [(9_999, 13), (500, 7), (300, 4), (150, 2), (10, 1)]
    )
    def test_keeps_the_greatest_key_and_leaves_no_gap(self, ranges, size_bytes, left):
        found = fitting(ranges, size_bytes=size_bytes)
        assert [each.number for each in found] == list(range(1, left + 1))
        assert (found[0].after, found[-1].up_to) == (None, "key 13")
        assert all(one.up_to == other.after for one, other in pairwise(found))
        size = len(json.dumps([each.as_json() for each in found]))
        assert size <= size_bytes or left == 1

    def test_of_nothing_is_nothing(self):
        assert fitting([], size_bytes=1) == []


class TestKeys:
    """Any type of primary key will do that its field can read back from a text."""

    @pytest.fixture(autouse=True)
    def own_registry(self, monkeypatch):
        monkeypatch.setattr(datasets, "_datasets", dict(datasets._datasets))

    def test_may_be_numbers(self):
        tenant_id = uuid.uuid4()
        for number in (9, 10, 11, 99, 100):  # As texts they would be in another order.
            TaskResult.objects.create(pk=number, task_id=str(number), worker=str(tenant_id))
        results = register_dataset(
            "results", model="django_celery_results.TaskResult", tenant_field="worker",
            columns=["id"],
        )  # fmt: skip
        assert keys_by_range(results, tenant_id, 2) == [[9, 10], [11, 99], [100]]

    def test_may_be_texts(self):
        keys = ["Z", "a", "é", "B", "'quoted'", "%s", "10", "9", "a b"]
        for key in keys:
            Session.objects.create(session_key=key, session_data="x", expire_date=MOMENT)
        sessions = register_dataset(
            "sessions", model="accounts.Session", tenant_field="session_data",
            columns=["session_key"],
        )  # fmt: skip
        found = keys_by_range(sessions, "x", 2)
        assert sum(found, []) == all_keys(sessions, "x")
        assert sorted(sum(found, [])) == sorted(keys)


class TestKeyRange:
    @pytest.mark.parametrize("after", [None, "0193"])
    def test_survives_json(self, after):
        one = KeyRange(3, after, "0194")
        assert KeyRange.from_json(json.loads(json.dumps(one.as_json()))) == one


@pytest.mark.parametrize("name", ["csv", "json"])
class TestParts:
    @pytest.mark.parametrize("rows", [0, 1, 7])
    def test_make_the_file_of_a_single_job(self, project, tmp_path, name, rows):
        add_items(project, [uuid.uuid4() for _ in range(rows)])
        store = FileStore(tmp_path)
        export = Export(tenant=project.tenant, dataset="items", format=name)

        facts = write_all(store, export, rows_per_part=3)
        put_together(store, export, facts)

        assert content(store, export.key) == of_a_single_job(export)
