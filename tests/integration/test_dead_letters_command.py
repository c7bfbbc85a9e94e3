"""`manage.py dead_letters`: what it prints, what it does, and how it fails."""

import json
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from jobs.models import AuditEntry, BulkReplay, DeadLetter, Job
from tests.drills import ACME, GLOBEX
from tests.letters import make_letter, make_unreadable

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str) -> str:
    out = StringIO()
    call_command("dead_letters", *words, stdout=out)
    return out.getvalue().strip()


def rows(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("list", "--json", *words))
    return found


class TestList:
    def test_prints_open_ones_newest_first(self):
        old, new = make_letter(), make_letter()
        run("discard", str(make_letter().pk), "--reason", "not needed")

        assert [row["id"] for row in rows()] == [str(new.pk), str(old.pk)]
        assert len(rows("--state", "all")) == 3

    @pytest.mark.parametrize(
        ("words", "count"),
        [
            (["--type", "drills.run_atomic"], 2),
            (["--tenant", str(GLOBEX)], 1),
            (["--error-type", "OSError"], 1),
            (["--queue", "jobs"], 3),
            (["--queue", "exports"], 0),
            (["--died-of", "rejected"], 3),
            (["--younger-than", "1h"], 3),
            (["--older-than", "1h"], 0),
            (["--limit", "1"], 1),
        ],
    )
    def test_filters(self, words, count):
        make_letter(tenant_id=ACME)
        make_letter(OSError("disk"), tenant_id=GLOBEX)
        make_unreadable()
        assert len(rows(*words)) == count

    def test_groups_those_of_one_cause(self):
        make_letter(tenant_id=ACME)
        make_letter(tenant_id=GLOBEX)
        make_letter(OSError("disk"))

        groups = {row["error_type"]: row for row in rows("--incidents")}

        assert (groups["RuntimeError"]["total"], groups["RuntimeError"]["tenants"]) == (2, 2)
        found = rows("--fingerprint", groups["OSError"]["fingerprint"])
        assert [row["error"] for row in found] == ["OSError: disk"]
        assert len(rows("--incident", groups["RuntimeError"]["id"])) == 2

    def test_says_that_there_are_none(self):
        assert run("list") == "No dead letters."


class TestShow:
    def test_prints_the_message_the_cause_and_what_was_done(self):
        letter = make_letter()
        run("replay", str(letter.pk))

        facts = json.loads(run("show", "--json", str(letter.pk)))

        assert facts["payload"] == {"label": "drill"}
        assert json.loads(facts["body"])[0] == []
        assert "RuntimeError: it can't be done" in facts["cause"]
        assert [each["outcome"] for each in facts["attempts_of_job"]] == ["failed"]
        assert [each["action"] for each in facts["audit"]] == ["dead_letter.replayed"]
        assert facts["handled_by"].startswith("command:")

    def test_says_that_an_unreadable_one_never_ran(self):
        letter = make_unreadable()
        text = run("show", str(letter.pk))
        assert "cause: It never ran." in text
        assert r"body: \xff\xfe{" in text


class TestReplay:
    def test_runs_each_again_as_a_new_job(self):
        first, second = make_letter(), make_letter()
        printed = run("replay", str(first.pk), str(second.pk)).split()
        assert {str(job.pk) for job in Job.objects.filter(replay_of__isnull=False)} == {*printed}

    def test_takes_another_payload_for_one(self):
        letter = make_letter()
        job = Job.objects.get(pk=run("replay", str(letter.pk), "--payload", '{"label": "mended"}'))
        assert job.payload == {"label": "mended"}

    def test_runs_an_unreadable_one_with_a_payload_that_fits(self):
        letter = make_unreadable()
        DeadLetter.objects.filter(pk=letter.pk).update(type="drills.run_atomic")
        job = Job.objects.get(pk=run("replay", str(letter.pk), "--payload", "{}"))
        assert job.type == "drills.run_atomic"

    def test_of_all_asks_first(self, monkeypatch):
        make_letter()
        monkeypatch.setattr("sys.stdin", StringIO())
        with pytest.raises(CommandError, match="Replay 1 dead letters.*--yes"):
            run("replay", "--all")
        assert not BulkReplay.objects.exists()

    def test_of_all_that_match_begins_a_bulk_replay(self):
        make_letter()
        make_letter(OSError("disk"))
        words = ("--error-type", "OSError", "--rate", "5", "--no-canary", "--yes")
        said = run("replay", "--all", *words)
        bulk = BulkReplay.objects.get()
        assert said == f"Bulk replay {bulk.pk} of 1 dead letters."
        assert (bulk.rate_per_second, bulk.canary) == (5, False)


class TestDiscard:
    def test_closes_with_a_reason(self):
        letter = make_letter()
        run("discard", str(letter.pk), "--reason", "a test")
        letter.refresh_from_db()
        assert (letter.state, letter.discard_reason) == ("discarded", "a test")

    def test_of_all_that_match_closes_those(self):
        make_letter()
        make_letter(OSError("disk"))
        words = ("--error-type", "OSError", "--reason", "known", "--yes")
        assert run("discard", "--all", *words) == "Discarded 1 dead letters."
        assert [row["error"] for row in rows()] == ["RuntimeError: it can't be done"]
        assert AuditEntry.objects.get().detail["count"] == 1


class TestFailure:
    @pytest.mark.parametrize(
        ("words", "fault"),
        [
            (["show", str(uuid.uuid4())], "There is no dead letter"),
            (["show", "7"], "invalid UUID value"),
            (["replay"], "Name dead letters by their ids, or say --all"),
            (["replay", str(uuid.uuid4()), "--all"], "or say --all"),
            (["replay", str(uuid.uuid4()), "--payload", "{"], "this is no JSON"),
            (["replay", str(uuid.uuid4()), "--payload", "[]"], "a payload is a JSON object"),
            (["replay", "--all", "--yes"], "No open dead letter matches"),
            (["replay", "--all", "--yes", "--rate", "0"], "rate: from above 0"),
            (["discard", str(uuid.uuid4()), "--reason", " "], "Say why"),
            (["list", "--tenant", "acme"], "tenant: 'acme' is no UUID"),
            (["list", "--older-than", "soon"], "'soon' is no duration; write 90s"),
        ],
    )
    def test_is_one_sentence(self, words, fault):
        with pytest.raises(CommandError, match=fault):
            run(*words)

    def test_of_a_payload_names_the_field(self):
        letter = make_letter()
        with pytest.raises(CommandError, match="label: Input should be a valid string"):
            run("replay", str(letter.pk), "--payload", '{"label": 7}')
        assert rows()[0]["id"] == str(letter.pk)

    def test_of_a_second_replay_says_what_happened_already(self):
        letter = make_letter()
        run("replay", str(letter.pk))
        with pytest.raises(CommandError, match="is replayed already"):
            run("replay", str(letter.pk))
        assert Job.objects.filter(replay_of__isnull=False).count() == 1
