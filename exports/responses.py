"""How a finished file is answered with, to programs and to people in the admin."""

from django.http import FileResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from exports.formats import get_format
from exports.models import Export
from exports.operations import open_download


def answer_download(export: Export) -> HttpResponseBase:
    """
    Answer with the file, or with a redirect to where it is.

    :raises NotCompleted: if there is no file yet, or never will be.
    :raises NoSuchObject: if the store has lost it.
    """
    found = open_download(export)
    if isinstance(found, str):
        return HttpResponseRedirect(found, headers={"Cache-Control": "no-store"})
    return FileResponse(
        found,
        as_attachment=True,
        filename=export.filename,
        content_type=get_format(export.format).content_type,
        headers={"Cache-Control": "no-store"},
    )
