"""Makes the n-th item of a tenant: the same one at every run, on every machine."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from project.workspace.demo.hostile import HOSTILE
from project.workspace.demo.people import DemoTenant
from project.workspace.demo.words import COLOURS, FINISHES, NOTES

START = datetime(2026, 1, 5, 8, tzinfo=UTC)
START_MILLISECONDS = int(START.timestamp() * 1_000)

#: The bits of a UUID that say what it is, and those of its random part (RFC 9562, section 5.7).
VERSION_7 = 0x7 << 76 | 0x2 << 62
LUCK = ((1 << 12) - 1) << 64 | (1 << 62) - 1

#: One row in so many carries a hostile value, never the first ones of a file.
HOSTILE_EVERY = 20
HOSTILE_AT = 7


class ItemRow(NamedTuple):
    id: UUID
    project: int  #: Index into the tenant's projects.
    sku: str
    name: str
    description: str | None
    quantity: int
    price: Decimal
    tags: tuple[str, ...]
    created_at: datetime


def digest_of(*parts: object) -> bytes:
    return blake2b("/".join([str(part) for part in parts]).encode(), digest_size=24).digest()


def demo_id(digest: bytes, number: int = 0) -> UUID:
    """Return a UUID of version 7 that grows with the number and has the digest's bits for luck."""
    luck = int.from_bytes(digest[:10], "big") & LUCK
    return UUID(int=(START_MILLISECONDS + number) << 80 | VERSION_7 | luck)


def item_id(tenant: DemoTenant, number: int) -> UUID:
    return demo_id(digest_of(tenant.slug, "item", number), number)


def item_at(tenant: DemoTenant, number: int) -> ItemRow:
    """Return the tenant's item of this number; ids grow with the number."""
    digest = digest_of(tenant.slug, "item", number)
    code, usual, product, text, tags = tenant.products[digest[10] % len(tenant.products)]
    finish = FINISHES[digest[11] % len(FINISHES)]
    colour = COLOURS[digest[12] % len(COLOURS)]
    row = ItemRow(
        id=demo_id(digest, number),
        project=digest[13] % len(tenant.projects),
        sku=f"{tenant.sku_prefix}-{code}-{number:07}",
        name=f"{finish} {product}, {colour}",
        description=describe(text, digest[14]),
        quantity=digest[15] * digest[16] // 64,
        price=Decimal(usual * (80 + digest[17] % 60) // 10 * 10 - 5) / 100,
        tags=(*tags, "sale") if digest[19] < 26 else tags,
        created_at=START + timedelta(seconds=11 * number, milliseconds=digest[20]),
    )
    return make_hostile(row, number) if number % HOSTILE_EVERY == HOSTILE_AT else row


def describe(text: str, luck: int) -> str | None:
    """Return a description; some are empty and some were never written."""
    if luck < 8:
        return None
    if luck < 16:
        return ""
    if luck < 40:
        return f"{text}.\n\n{NOTES[luck % len(NOTES)]}"
    return f"{text}. {NOTES[luck % len(NOTES)]}"


def make_hostile(row: ItemRow, number: int) -> ItemRow:
    return row._replace(**HOSTILE[number // HOSTILE_EVERY % len(HOSTILE)]._asdict())
