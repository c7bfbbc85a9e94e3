"""The registry of what can be exported."""

import pytest
from django.db.models import F

from exports import datasets
from exports.datasets import get_dataset, list_datasets, register_dataset
from exports.errors import UnknownDataset, UnknownFormat
from exports.formats import get_format
from exports.formats.kinds import Kind


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(datasets, "_datasets", dict(datasets._datasets))


class TestRegisterDataset:
    def test_takes_five_lines(self):
        register_dataset(
            "prices",
            model="workspace.Item",
            tenant_field="tenant",
            columns=["sku", ("project", "project__name"), ("total", F("price") * F("quantity"))],
        )
        dataset = get_dataset("prices")
        assert dataset.names == ["sku", "project", "total"]
        assert list(dataset.kinds().values()) == [Kind.TEXT, Kind.TEXT, Kind.DECIMAL]

    @pytest.mark.parametrize(
        "columns",
        [
            ["sku", "sku"],
            ["sku", ("sku", "name")],
            [("", "sku")],
            [("é" * 32, "sku")],
            [("a\n", "sku")],
            [],
        ],
    )
    def test_refuses_columns_that_a_file_could_not_tell_apart(self, columns):
        with pytest.raises(ValueError, match="Dataset 'odd': "):
            register_dataset("odd", model="workspace.Item", tenant_field="tenant", columns=columns)


class TestGetDataset:
    def test_says_which_exist(self):
        with pytest.raises(UnknownDataset, match="'secrets'. Use one of: items, projects"):
            get_dataset("secrets")

    def test_finds_those_that_apps_registered(self):
        assert {"items", "projects"} <= {dataset.name for dataset in list_datasets()}


class TestGetFormat:
    def test_says_which_exist(self):
        with pytest.raises(UnknownFormat, match="'xml'. Use one of: csv, json"):
            get_format("xml")
