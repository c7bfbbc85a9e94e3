"""Says whether S3 would honour a presigned link: moto, unlike S3, honours any."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit


def is_honoured(url: str, *, secret: str, now: datetime) -> bool:
    """Recompute the signature by AWS's description of Signature Version 4, and check the expiry."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    signature = query.pop("X-Amz-Signature")
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    expires_at = signed_at + timedelta(seconds=int(query["X-Amz-Expires"]))
    genuine = hmac.compare_digest(signature, _signature(parts, query, secret))
    return genuine and signed_at - timedelta(minutes=15) <= now < expires_at


def _signature(parts: SplitResult, query: dict[str, str], secret: str) -> str:
    assert query["X-Amz-SignedHeaders"] == "host"
    scope = query["X-Amz-Credential"].partition("/")[2]
    text = "\n".join(
        ("AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, _sha256(_canonical(parts, query)))
    )
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _canonical(parts: SplitResult, query: dict[str, str]) -> str:
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items()
    )
    return "\n".join(
        (
            "GET",
            parts.path,
            "&".join(f"{name}={value}" for name, value in pairs),
            f"host:{parts.netloc}\n",
            "host",
            "UNSIGNED-PAYLOAD",
        )
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
