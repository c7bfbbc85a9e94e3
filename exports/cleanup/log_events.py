"""Owns the log lines of the clean-up of exports."""

from typing import Any

import structlog

from exports.models import Export

log: Any = structlog.get_logger("exports.cleanup")


def file_lost(export: Export) -> None:
    """A completed export whose file is gone: whoever asked for it can't download it any more."""
    log.warning(
        "export.file_lost",
        export_id=str(export.pk),
        tenant_id=str(export.tenant_id),
        key=export.key,
        hint="It was deleted in the store, not by this product. Its row is deleted too.",
    )


def cleaned(counts: dict[str, int]) -> None:
    log.info("cleanup.deleted", what="exports", **counts)


def no_store_yet() -> None:
    log.info("cleanup.deleted", what="exports", hint="Nobody has exported anything yet.")
