"""The rows of the demonstration."""

from itertools import pairwise

import pytest

from project.workspace.demo.hostile import HOSTILE
from project.workspace.demo.items import START, ItemRow, item_at, item_id
from project.workspace.demo.people import TENANTS

NORDLICHT, BRAMBLE = TENANTS


@pytest.fixture(scope="module")
def rows() -> list[ItemRow]:
    return [item_at(NORDLICHT, number) for number in range(1_000)]


class TestItemAt:
    def test_makes_the_same_row_for_the_same_number(self, rows):
        assert [item_at(NORDLICHT, number) for number in range(1_000)] == rows

    def test_makes_a_row_that_no_release_may_change(self):
        # A second seeding by a later release finds the first one's rows by these values.
        row = item_at(NORDLICHT, 0)
        assert (str(row.id), row.sku) == ("019b8d2b-8c00-75ee-8af4-a743df3090d4", "NL-TNT-0000000")
        assert row.created_at.date() == START.date()

    def test_gives_every_row_an_id_and_sku_of_its_own(self, rows):
        others = [item_at(BRAMBLE, number) for number in range(1_000)]
        assert len({row.id for row in rows + others}) == 2_000
        assert len({row.sku for row in rows + others}) == 2_000

    def test_gives_ids_that_grow_with_the_number(self, rows):
        assert all(one.id < next_one.id for one, next_one in pairwise(rows))
        assert all(row.id.version == 7 for row in rows)
        assert [item_id(NORDLICHT, number) for number in range(3)] == [row.id for row in rows[:3]]

    def test_fits_the_columns(self, rows):
        assert max(len(row.name) for row in rows) <= 200
        assert max(len(row.sku) for row in rows) <= 64
        assert all(row.price == round(row.price, 2) for row in rows)

    def test_tells_a_missing_description_from_an_empty_one(self, rows):
        assert {None, ""} <= {row.description for row in rows}


class TestHostileRows:
    def test_are_all_among_the_first_five_hundred_items(self, rows):
        assert {row.name for row in HOSTILE} <= {row.name for row in rows[:500]}

    def test_leave_the_first_lines_of_a_file_pleasant(self, rows):
        assert not {row.name for row in rows[:7]} & {row.name for row in HOSTILE}

    @pytest.mark.parametrize("character", [",", '"', "'", "\n", "\r", "\t", "\\", "🎉", "\u2028"])
    def test_have_each_dangerous_character(self, rows, character):
        assert any(character in row.name + (row.description or "") for row in rows)

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "'"])
    def test_have_each_start_of_a_formula(self, rows, start):
        assert any(row.name.startswith(start) for row in rows)
