"""`manage.py verify_export`: proves that a stored file is what was written."""

import json
import uuid
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from exports.errors import ExportError, UnknownExport
from exports.models import Export
from exports.operations import object_store
from exports.parts.verifying import Proof, verify
from jobs.management.base import JobsCommand


class Command(JobsCommand):
    help = (
        "Read the file of a completed export and compare size, SHA-256, rows, columns and each "
        "part with its manifest, and all that this says with the export's row; or with its row "
        "alone, if a single job wrote it. Exit code 1 and a line per difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("export_id", type=uuid.UUID, help="The id of a completed export.")
        parser.add_argument("--json", action="store_true", help="Print JSON instead of lines.")

    def handle(self, **options: Any) -> None:
        try:
            export = _get_export(options["export_id"])
            proof = verify(object_store(), export)
        except ExportError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(as_json(export, proof) if options["json"] else as_text(export, proof))
        if not proof.holds:
            raise CommandError(
                f"The file or the manifest of export {export.pk} is not what was written."
            )


def as_text(export: Export, proof: Proof) -> str:
    """Return a line for each difference, or one that says what was proved."""
    if not proof.holds:
        return "\n".join(proof.differences)
    found = proof.found
    said = f"{export.key}: {found.row_count} rows, {found.size_bytes} bytes, as"
    if proof.parts is None:
        return f"{said} its row says."
    return f"{said} its manifest of {proof.parts} parts says, by version {proof.code_version}."


def as_json(export: Export, proof: Proof) -> str:
    return json.dumps(
        {"export_id": str(export.pk), "holds": proof.holds, **asdict(proof)}, indent=2
    )


def _get_export(export_id: uuid.UUID) -> Export:
    """:raises UnknownExport: if no tenant has it."""
    export = Export.objects.filter(pk=export_id).first()
    if export is None:
        raise UnknownExport(export_id)
    return export
