"""The text of API tokens."""

import pytest

from project.accounts.credentials import new_credential, read_credential


class TestCredential:
    def test_is_read_back_from_its_text(self):
        credential = new_credential()
        assert read_credential(credential.text) == credential

    def test_carries_32_random_bytes(self):
        made = {new_credential().secret for _ in range(100)}
        assert len(made) == 100
        assert all(len(secret) == 43 for secret in made)

    def test_opens_only_its_own_digest(self):
        credential, other = new_credential(), new_credential()
        assert credential.opens(credential.digest)
        assert not credential.opens(other.digest)

    def test_does_not_show_the_secret_in_its_digest(self):
        credential = new_credential()
        assert credential.secret not in credential.digest

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "off_",
            "off_0123456789ab_short",
            "OFF_0123456789ab_" + "a" * 43,
            "off_0123456789ab_" + "a" * 44,
            "off_0123456789a\x00_" + "a" * 43,
            "off_0123456789ab_" + "é" * 43,
            "off_0123456789ab_" + "a" * 43 + "\n",
        ],
    )
    def test_is_not_read_from_anything_else(self, text):
        assert read_credential(text) is None
