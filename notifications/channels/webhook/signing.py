"""Signs webhooks as Standard Webhooks has it (www.standardwebhooks.com)."""

import base64
import secrets as random
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

SECRET_PREFIX = "whsec_"  # noqa: S105
SECRET_BYTES = 32  #: The specification wants 24 to 64.


def new_secret() -> str:
    """Return a new secret as receivers' libraries take it."""
    return SECRET_PREFIX + base64.b64encode(random.token_bytes(SECRET_BYTES)).decode()


def signed_headers(
    secrets: Sequence[str], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """
    Return the headers that prove a delivery; `timestamp` is of this attempt, in Unix seconds.

    One signature for each secret, the newest first: a receiver accepts any of them, so it can
    change over to a new secret while the old one still counts.

    :raises ValueError: without a secret, as an unsigned webhook proves nothing; or if the id holds
        a full stop, which divides the parts of what is signed.
    """
    if not secrets:
        raise ValueError("A webhook is signed with one secret at least.")
    if "." in message_id:
        raise ValueError("The id of a webhook holds no full stop.")
    # The library overwrites the zone with UTC instead of converting, so it gets UTC.
    moment = datetime.fromtimestamp(timestamp, tz=UTC)
    text = body.decode()
    signatures = [Webhook(secret).sign(message_id, moment, text) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
