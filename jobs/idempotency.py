"""`Idempotency-Key`: a request sent again gets the first answer; its work is done once."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpRequest, JsonResponse
from django.utils import timezone

from jobs.http import Member, Problem
from jobs.models import IdempotentRequest

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,200}")

#: How long an answer is kept; after that the key is free for another request.
KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class Answer:
    """What a request is answered with, now and whenever it is sent again."""

    status: int
    body: dict[str, Any]
    location: str = ""

    def as_response(self) -> JsonResponse:
        headers = {"Location": self.location} if self.location else {}
        return JsonResponse(self.body, status=self.status, headers=headers)


def answer_once(request: HttpRequest, actor: Member, work: Callable[[], Answer]) -> JsonResponse:
    """
    Do the work of a request once for each of the tenant's keys, and answer it.

    The key is stored in the transaction of the work: both commit, or neither. Of fifty requests
    at once, one inserts the key and the others wait for its commit inside their own insert, so
    all get its answer; if it rolls back (a Problem, a crash), the next one does the work.
    Without the header this is a plain transaction.

    :raises Problem: 422 for a key that can't be one; 409 if it was used for another request.
    """
    key = _read_key(request)
    with transaction.atomic():
        if key is None:
            return work().as_response()
        return _answer(actor.tenant_id, key, _hash(request), work).as_response()


def _answer(tenant_id: uuid.UUID, key: str, body_hash: str, work: Callable[[], Answer]) -> Answer:
    mine = _insert(tenant_id, key, body_hash)
    while mine is None:
        theirs = IdempotentRequest.objects.filter(tenant_id=tenant_id, key=key).first()
        if theirs and theirs.created_at > timezone.now() - KEPT_FOR:
            return _recall(theirs, body_hash)
        if theirs:  # Too old. Several may delete it; the unique key lets one of them insert.
            IdempotentRequest.objects.filter(pk=theirs.pk).delete()
        mine = _insert(tenant_id, key, body_hash)
    answer = work()
    mine.status, mine.answer, mine.location = answer.status, answer.body, answer.location
    mine.save(update_fields=["status", "answer", "location"])
    return answer


def _insert(tenant_id: uuid.UUID, key: str, body_hash: str) -> IdempotentRequest | None:
    """Take the key, or return None if it is taken; waits for a transaction that is taking it."""
    try:
        with transaction.atomic():
            return IdempotentRequest.objects.create(
                tenant_id=tenant_id, key=key, body_hash=body_hash
            )
    except IntegrityError:
        return None


def _recall(stored: IdempotentRequest, body_hash: str) -> Answer:
    if stored.body_hash != body_hash:
        detail = f"{HEADER} {stored.key!r} was used for another request; choose a new one."
        raise Problem(409, "Idempotency key in use", detail, field=HEADER)
    # Stored in the transaction that took the key: whoever sees the row sees its answer.
    return Answer(stored.status or 200, stored.answer or {}, stored.location)


def _read_key(request: HttpRequest) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not KEY.fullmatch(key):
        detail = f"{HEADER} must be 1 to 200 visible ASCII characters without spaces."
        raise Problem(422, "Invalid request", detail, field=HEADER)
    return str(key)


def _hash(request: HttpRequest) -> str:
    """Return the same for requests that mean the same: the order of a JSON object is nothing."""
    try:
        body = json.dumps(json.loads(request.body), sort_keys=True).encode()
    except ValueError:
        body = request.body  # Of a view that reads none.
    return sha256(f"{request.method} {request.path}\n".encode() + body).hexdigest()
