"""The whole clean-up of exports, in the order in which nothing is lost by mistake."""

from datetime import datetime, timedelta

from django.conf import settings

from exports.cleanup import log_events
from exports.cleanup.expired import delete_expired
from exports.cleanup.leftovers import delete_leftovers
from exports.cleanup.strays import delete_fileless, delete_orphan
from exports.cleanup.survey import FOLDER, Survey, survey
from exports.errors import StoreLooksWrong, StoreMissing
from exports.object_store import ObjectStore
from exports.parts.keys import MANIFESTS, PARTS
from exports.queries import has_written

#: What nobody has written to for so long belongs to no attempt: none may last an hour.
LEFT_ALONE = timedelta(days=1)

#: Where attempts write.
FOLDERS = (FOLDER, PARTS, MANIFESTS)


def clean_up(store: ObjectStore, *, now: datetime) -> None:
    """
    Delete expired exports, files, parts and manifests that nobody wants, and rows without a file.

    Safe when run twice, at the same time, or killed midway.

    :raises StoreMissing: if the folder or bucket is not there, though files were written.
        Nothing was deleted.
    :raises StoreLooksWrong: if too many files are missing. Nothing but what has expired was
        deleted.
    """
    if _is_new(store):
        log_events.no_store_yet()
        return
    stale = now - LEFT_ALONE
    found = survey(store, before=stale)
    # In a wrong store too: where files are lost for good, it would look wrong for ever. A file that
    # is in the right store all the same is without a row by then, and goes on a later night.
    expired = delete_expired(store, before=now - timedelta(days=settings.EXPORTS_KEEP_DAYS))
    if found.looks_wrong:
        log_events.cleaned({"expired": expired})
        raise StoreLooksWrong(len(found.fileless), found.completed, expired)
    log_events.cleaned({"expired": expired, **_delete_strays(store, found, before=stale)})


def _delete_strays(store: ObjectStore, found: Survey, *, before: datetime) -> dict[str, int]:
    return {
        "orphans": sum(delete_orphan(store, key) for key in found.orphans)
        + delete_leftovers(store, before=before),
        "fileless": sum(delete_fileless(store, each) for each in found.fileless),
        "parts": sum(store.remove_stale_parts(each, before=before) for each in FOLDERS),
    }


def _is_new(store: ObjectStore) -> bool:
    """Whether it is not there because nothing was ever written: the first attempt makes it."""
    try:
        store.check_is_there()
    except StoreMissing:
        if has_written():
            raise
        return True
    return False
