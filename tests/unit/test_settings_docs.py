"""`docs/settings.md` says what the settings read: each variable, with its default."""

import re

import pytest

from tests.harness.variables import CHECKOUT, variables_read

PAGE = (CHECKOUT / "docs" / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
SPELLED_OUT = {name: default for name, default in variables_read().items() if default is not None}


class TestSettingsPage:
    def test_has_a_row_for_each_variable_and_no_other(self):
        assert set(ROWS) == set(variables_read())

    @pytest.mark.parametrize("name", sorted(SPELLED_OUT))
    def test_names_the_default(self, name):
        assert f"`{SPELLED_OUT[name]}`" in ROWS[name]
