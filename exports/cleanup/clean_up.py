"""The whole clean-up of exports, in the order in which nothing is lost by mistake."""

from datetime import datetime, timedelta

from django.conf import settings

from exports.cleanup import log_events
from exports.cleanup.expired import delete_expired
from exports.cleanup.strays import delete_fileless, delete_orphan
from exports.cleanup.survey import FOLDER, survey
from exports.errors import StoreMissing
from exports.models import Export
from exports.object_store import ObjectStore

#: What nobody has written to for so long belongs to no attempt: none may last an hour.
LEFT_ALONE = timedelta(days=1)


def clean_up(store: ObjectStore, *, now: datetime) -> None:
    """
    Delete expired exports, files that nobody wants, and rows whose file is lost.

    Safe when run twice, at the same time, or killed midway.

    :raises StoreMissing: if the folder or bucket is not there, though there are exports.
    :raises StoreLooksWrong: if too many files are missing. Nothing was deleted, in either case.
    """
    if _is_new(store):
        log_events.no_store_yet()
        return
    stale = now - LEFT_ALONE
    found = survey(store, before=stale)
    found.refuse_wrong_store()
    expired = delete_expired(store, before=now - timedelta(days=settings.EXPORTS_KEEP_DAYS))
    log_events.cleaned(
        {
            "expired": expired,
            "orphans": sum(delete_orphan(store, key) for key in found.orphans),
            "fileless": sum(delete_fileless(store, each) for each in found.fileless),
            "parts": store.remove_stale_parts(FOLDER, before=stale),
        }
    )


def _is_new(store: ObjectStore) -> bool:
    """Whether it is not there because nobody has exported yet: the first attempt makes it."""
    try:
        store.check_is_there()
    except StoreMissing:
        if Export.objects.exists():
            raise
        return True
    return False
