"""The rule for text that looks like a formula, on Python's side."""

import pytest

from exports.formats.safe_text import safe_text
from tests.hostile import FORMULA_CASES, HOSTILE_TEXTS


class TestSafeText:
    @pytest.mark.parametrize(("text", "shown"), FORMULA_CASES)
    def test_puts_one_apostrophe_before_what_looks_like_a_formula(self, text, shown):
        assert safe_text(text) == shown

    @pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: repr(text[:20]))
    def test_loses_nothing(self, text):
        assert safe_text(text).removeprefix("'") == text
