"""Each row that compares alarms and steps names the one test that shows it."""

import re

import pytest

from tests.harness.variables import CHECKOUT
from tests.integration.test_like_a_step import TestLikeAStep as Steps
from tests.integration.test_like_an_alarm import TestLikeAnAlarm as Alarms

PAGE = (CHECKOUT / "docs" / "workflows.md").read_text()
COMPARED = PAGE[PAGE.index("## Beside alarms and steps elsewhere") :]


def tables():
    """Return, for each table that compares, the last cell of its rows."""
    found = re.findall(r"^\| theirs.*\n\|[-|]+\|\n((?:\|.*\n)+)", COMPARED, re.MULTILINE)
    return [[row.rsplit("|", 2)[1].strip(" `") for row in each.splitlines()] for each in found]


class TestEachRow:
    @pytest.mark.parametrize(("number", "tests"), [(0, Alarms), (1, Steps)])
    def test_names_a_test_and_each_test_has_a_row(self, number, tests):
        methods = [name for name in vars(tests) if name.startswith("test_")]

        assert tables()[number] == methods
