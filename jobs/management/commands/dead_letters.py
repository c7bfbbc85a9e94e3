"""`manage.py dead_letters list|show|replay|discard`: what died, and what to do about it."""

import json
import sys
import time
import uuid
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder

from jobs.dead_letters import bulk, operations, queries
from jobs.dead_letters.matching import Matching
from jobs.management.base import TableCommand, command_user
from jobs.management.dead_letter_arguments import add_filters, add_state, matching_of
from jobs.management.dead_letter_rows import as_text, everything_of, incident_row, row_of
from jobs.models import BulkReplay
from jobs.states import BulkState

FOLLOW_SECONDS = 1


class Command(TableCommand):
    help = "See what died, replay it or discard it: one, several, or all that match."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="what", required=True)
        self._add_list(commands.add_parser("list", help="Print dead letters, newest first."))
        self._add_show(commands.add_parser("show", help="Print all that is known of one."))
        self._add_replay(commands.add_parser("replay", help="Run the work again, as new jobs."))
        self._add_discard(commands.add_parser("discard", help="Close them for good."))

    def handle(self, *, what: str, **options: Any) -> None:
        try:
            getattr(self, f"_{what}")(**options)
        except ValueError as error:
            raise CommandError(str(error)) from error

    # --- Arguments ------------------------------------------------------------------------------

    def _add_list(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_filters(parser)
        add_state(parser)
        parser.add_argument("--limit", type=int, default=50, help="How many (50).")
        parser.add_argument("--incidents", action="store_true", help="Print groups of one cause.")

    def _add_show(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("id", type=uuid.UUID)

    def _add_replay(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", type=uuid.UUID, nargs="*", metavar="ID")
        parser.add_argument("--payload", help="JSON to run one of them with instead.")
        self._add_all(parser)
        parser.add_argument("--rate", type=float, default=10, help="Of --all: a second (10).")
        parser.add_argument(
            "--no-canary",
            action="store_true",
            help="Of --all: don't wait for the first.",
        )
        parser.add_argument(
            "--stop-share", type=float, default=0.5,
            help="Of --all: stop when more than this share of the settled failed, 0 to 1 (0.5).",
        )  # fmt: skip
        parser.add_argument("--wait", action="store_true", help="Of --all: follow it to its end.")

    def _add_discard(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", type=uuid.UUID, nargs="*", metavar="ID")
        parser.add_argument("--reason", required=True, help="Why nobody needs the work any more.")
        self._add_all(parser)

    def _add_all(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", help="All open ones that match:")
        add_filters(parser)
        parser.add_argument("--yes", action="store_true", help="Don't ask.")

    # --- The four of them -----------------------------------------------------------------------

    def _list(self, **options: Any) -> None:
        whole = options["json"]
        limit = max(options["limit"], 1)
        if options["incidents"]:
            incidents = queries.newest_incidents(limit)
            rows = [incident_row(incident, whole=whole) for incident in incidents]
        else:
            letters = matching_of(options).rows()[:limit]
            rows = [row_of(letter, whole=whole) for letter in letters]
        self.print_rows(rows, as_json=whole, nothing="No dead letters.")

    def _show(self, **options: Any) -> None:
        facts = everything_of(queries.get_dead_letter(options["id"]))
        if options["json"]:
            self.stdout.write(json.dumps(facts, cls=DjangoJSONEncoder, indent=2))
        else:
            self.stdout.write(as_text(facts))

    def _replay(self, **options: Any) -> None:
        if not self._means_all(options):
            payload = _json_object(options["payload"])
            if payload is not None and len(options["ids"]) != 1:
                raise CommandError("--payload: name one dead letter to run with it.")
            for each in options["ids"]:
                job = operations.replay_dead_letter(
                    dead_letter_id=each, by=command_user(), payload=payload
                )
                self.stdout.write(str(job.pk))
            return
        if options["payload"]:
            raise CommandError("--payload: is for one dead letter, not for --all.")
        started = bulk.start_bulk_replay(
            matching=self._confirmed(options, "Replay"),
            by=command_user(),
            rate_per_second=options["rate"],
            canary=not options["no_canary"],
            stop_share=options["stop_share"],
        )
        self.stdout.write(f"Bulk replay {started.pk} of {started.matched} dead letters.")
        if options["wait"]:
            self._follow(started)

    def _discard(self, **options: Any) -> None:
        if self._means_all(options):
            count = operations.discard_matching(
                matching=self._confirmed(options, "Discard"),
                by=command_user(),
                reason=options["reason"],
            )
            self.stdout.write(f"Discarded {count} dead letters.")
            return
        for each in options["ids"]:
            operations.discard_dead_letter(
                dead_letter_id=each, by=command_user(), reason=options["reason"]
            )
            self.stdout.write(f"Discarded {each}.")

    # --- What they share ------------------------------------------------------------------------

    def _means_all(self, options: dict[str, Any]) -> bool:
        if options["all"] == bool(options["ids"]):
            raise CommandError("Name dead letters by their ids, or say --all with filters.")
        return bool(options["all"])

    def _confirmed(self, options: dict[str, Any], verb: str) -> Matching:
        """Return the filter, once somebody has agreed to how many it matches."""
        matching = matching_of(options)
        question = f"{verb} {matching.rows().count()} dead letters?"
        if options["yes"]:
            return matching
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Say --yes: nobody is there to be asked.")
        if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was done.")
        return matching

    def _follow(self, started: BulkReplay) -> None:
        while started.state == BulkState.RUNNING:
            time.sleep(FOLLOW_SECONDS)
            started.refresh_from_db()
        counts = f"{started.replayed} replayed, {started.refused} refused"
        self.stdout.write(f"{started.state}: {counts}.")
        if started.state == BulkState.STOPPED:
            raise CommandError(started.note or "It was stopped.")


def _json_object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandError(f"--payload: this is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise CommandError("--payload: a payload is a JSON object, {…}.")
    return value
