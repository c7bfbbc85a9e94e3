"""Signatures that other people's libraries accept, and none that they should not."""

import base64
import json
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from notifications.channels.webhook.signing import new_secret, signed_headers

#: Made with the npm library, by the script beside it.
VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors" / "webhook_signatures.json").read_text()
)
#: Of the tests of the specification's own libraries, and of the manual of the firm it comes from.
PUBLISHED = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
]


class TestNewSecret:
    def test_is_32_random_bytes_as_libraries_take_them(self):
        secret = new_secret()
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32

    def test_is_another_every_time(self):
        assert len({new_secret() for _ in range(100)}) == 100


class TestSignedHeaders:
    @pytest.mark.parametrize(("secret", "message_id", "timestamp", "body", "signature"), PUBLISHED)
    def test_gives_the_published_signatures(self, secret, message_id, timestamp, body, signature):
        assert signed_headers([secret], message_id=message_id, timestamp=timestamp, body=body) == {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature,
        }

    @pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
    def test_signs_as_the_javascript_library_does(self, vector):
        headers = signed_headers(
            [vector["secret"]],
            message_id=vector["id"],
            timestamp=vector["timestamp"],
            body=vector["body"].encode(),
        )
        assert headers["webhook-signature"] == vector["signature"]

    def test_is_verified_by_the_python_library_with_each_of_the_secrets(self):
        # Given a body, signed with the new secret and with the one it takes the place of
        new, old, foreign = new_secret(), new_secret(), new_secret()
        body = '{"name":"Zoë"}'.encode()
        headers = signed_headers(
            [new, old], message_id="msg_1", timestamp=int(time.time()), body=body
        )

        # When a receiver verifies it with either, then it is accepted; and with no other
        assert Webhook(new).verify(body, headers) == {"name": "Zoë"}
        assert Webhook(old).verify(body, headers) == {"name": "Zoë"}
        with pytest.raises(WebhookVerificationError):
            Webhook(foreign).verify(body, headers)

    @pytest.mark.parametrize(
        ("message_id", "later", "body"),
        [
            ("msg_2", 0, b'{"a":1}'),
            ("msg_1", 1, b'{"a":1}'),
            ("msg_1", 0, b'{"a":2}'),
            ("msg_1", 0, b'{"a": 1}'),
        ],
    )
    def test_covers_the_id_the_moment_and_every_byte_of_the_body(self, message_id, later, body):
        # Given what a message was signed as, now: the library refuses what is five minutes old
        secret, now = new_secret(), int(time.time())
        headers = signed_headers([secret], message_id="msg_1", timestamp=now, body=b'{"a":1}')

        # When one thing of it is another, then its signature is no longer that of the message
        changed = {"webhook-id": message_id, "webhook-timestamp": str(now + later)}
        with pytest.raises(WebhookVerificationError, match="No matching signature"):
            Webhook(secret).verify(body, headers | changed)

    def test_refuses_to_sign_with_nothing(self):
        with pytest.raises(ValueError, match="one secret"):
            signed_headers([], message_id="msg_1", timestamp=0, body=b"{}")

    def test_refuses_an_id_that_could_pass_for_two_parts(self):
        with pytest.raises(ValueError, match="full stop"):
            signed_headers([new_secret()], message_id="msg.1", timestamp=0, body=b"{}")
