"""The admin's pages of dead letters: what they show, and what their actions do."""

import json

import pytest
from django.urls import reverse

from jobs import operations as job_operations
from jobs.dead_letters import bulk
from jobs.dead_letters.matching import Matching
from jobs.models import Alert, AuditEntry, BulkReplay, DeadLetter, Incident, Job
from tests.drills import ACME, GLOBEX
from tests.letters import make_letter, make_unreadable

pytestmark = pytest.mark.django_db(transaction=True)

HOSTILE = "<script>alert(1)</script>"
LIST = reverse("admin:jobs_deadletter_changelist")


def page_of(row, action="change"):
    return reverse(f"admin:jobs_{row._meta.model_name}_{action}", args=[row.pk])


def text_of(answer) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def replays() -> int:
    return Job.objects.filter(replay_of__isnull=False).count()


def said(answer) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


class TestList:
    def test_shows_open_ones_until_others_are_asked_for(self, admin):
        letter = make_letter(OSError("disk is full"))
        assert "disk is full" in text_of(admin.get(LIST))

        admin.post(page_of(letter, "discard"), {"reason": "known"})

        assert "disk is full" not in text_of(admin.get(LIST))
        assert "disk is full" in text_of(admin.get(LIST, {"state": "discarded"}))
        assert "disk is full" in text_of(admin.get(LIST, {"state": "all"}))

    @pytest.mark.parametrize(
        ("filters", "shown"),
        [
            ({"type": "drills.run_atomic"}, {"disk is full", "net is down"}),
            ({"error_type": "OSError"}, {"disk is full"}),
            ({"tenant_id": str(GLOBEX)}, {"net is down"}),
            ({"queue": "exports"}, set()),
            ({"reason": "rejected"}, {"disk is full", "net is down"}),
            ({"age": "older-hour"}, set()),
            ({"age": "younger-day"}, {"disk is full", "net is down"}),
        ],
    )
    def test_filters(self, admin, filters, shown):
        make_letter(OSError("disk is full"), tenant_id=ACME)
        make_letter(ConnectionError("net is down"), tenant_id=GLOBEX)
        text = text_of(admin.get(LIST, filters))
        assert {words for words in ("disk is full", "net is down") if words in text} == shown

    def test_starts_anew_for_an_id_that_is_none(self, admin):
        answer = admin.get(LIST, {"tenant_id": "acme"})
        assert answer.status_code == 302

    def test_finds_whole_ids(self, admin):
        letter = make_letter(OSError("disk is full"))
        for wanted in (letter.pk, letter.job_id, letter.tenant_id):
            assert "disk is full" in text_of(admin.get(LIST, {"q": str(wanted)}))
        assert "disk is full" not in text_of(admin.get(LIST, {"q": "disk"}))

    def test_asks_no_more_of_the_database_for_more_rows(self, admin, django_assert_max_num_queries):
        for _ in range(12):
            make_letter()
        with django_assert_max_num_queries(14):
            admin.get(LIST)


class TestPage:
    def test_shows_message_cause_and_job(self, admin):
        letter = make_letter(OSError("disk is full"))
        text = text_of(admin.get(page_of(letter)))
        assert "&quot;label&quot;: &quot;drill&quot;" in text
        assert "Traceback" in text
        assert str(letter.job_id) in text

    def test_says_that_it_never_ran(self, admin):
        text = text_of(admin.get(page_of(make_unreadable())))
        assert "It never ran." in text
        assert r"\xff\xfe{" in text

    def test_shows_what_was_done_by_whom(self, admin):
        letter = make_letter()
        admin.post(page_of(letter, "discard"), {"reason": "a test"})
        text = text_of(admin.get(page_of(letter)))
        assert "a test" in text
        assert "dead_letter.discarded" in text
        assert "root@offload.example" in text

    def test_survives_a_job_that_was_deleted(self, admin):
        letter = make_letter()
        Job.objects.all().delete()
        assert "deleted since" in text_of(admin.get(page_of(letter)))

    @pytest.mark.parametrize(
        "body",
        [
            HOSTILE.encode(),
            b"\0\0",
            b"x" * 1_000_000,
            json.dumps([[], {"a": HOSTILE}, {}]).encode(),
            b"[" * 10_000,
        ],
    )
    def test_shows_hostile_bodies_escaped(self, admin, body):
        letter = make_unreadable(body, task=HOSTILE)
        for address in (page_of(letter), LIST, page_of(letter, "replay_edited")):
            assert HOSTILE not in text_of(admin.get(address))


class TestOne:
    def test_is_replayed_when_the_answer_is_posted(self, admin):
        letter = make_letter()
        assert "Replay 1 dead letter" in text_of(admin.get(page_of(letter, "replay")))
        assert replays() == 0

        admin.post(page_of(letter, "replay"))
        again = admin.post(page_of(letter, "replay"), follow=True)

        assert replays() == 1
        assert "is replayed already" in said(again)[-1]

    def test_is_replayed_with_another_payload(self, admin):
        letter = make_letter()
        address = page_of(letter, "replay_edited")
        assert "drill" in text_of(admin.get(address))
        admin.post(address, {"job_type": letter.type, "payload": '{"label": "mended"}'})
        assert Job.objects.get(replay_of=letter.job_id).payload == {"label": "mended"}

    @pytest.mark.parametrize(
        ("payload", "fault"),
        [("{", "This is no payload"), ("[]", "a JSON object"), ('{"label": 7}', "label: Input")],
    )
    def test_is_told_what_is_wrong_with_a_payload(self, admin, payload, fault):
        letter = make_letter()
        given = {"job_type": letter.type, "payload": payload}
        assert fault in text_of(admin.post(page_of(letter, "replay_edited"), given))
        assert replays() == 0

    def test_is_discarded_with_a_reason_only(self, admin):
        letter = make_letter()
        admin.post(page_of(letter, "discard"), {"reason": " "})
        assert DeadLetter.objects.get().state == "open"
        admin.post(page_of(letter, "discard"), {"reason": "a test"})
        assert DeadLetter.objects.get().state == "discarded"


class TestSelected:
    def act(self, admin, action, letters, **given):
        keys = [str(letter.pk) for letter in letters]
        return admin.post(LIST, {"action": action, "_selected_action": keys, **given}, follow=True)

    def test_are_replayed_once_somebody_has_agreed(self, admin):
        letters = [make_letter() for _ in range(3)]
        asked = self.act(admin, "replay_selected", letters)
        assert "Replay 3 dead letters" in text_of(asked)
        assert replays() == 0

        self.act(admin, "replay_selected", letters, asked="1")
        self.act(admin, "replay_selected", letters, asked="1")

        assert replays() == 3

    def test_are_discarded_with_a_reason(self, admin):
        letters = [make_letter() for _ in range(2)]
        self.act(admin, "discard_selected", letters, asked="1")
        assert DeadLetter.objects.filter(state="open").count() == 2
        self.act(admin, "discard_selected", letters, asked="1", reason="a test")
        assert DeadLetter.objects.filter(state="discarded").count() == 2


class TestAllThatMatch:
    def test_are_counted_on_the_button_and_on_the_page_that_asks(self, admin):
        make_letter()
        make_letter(OSError("disk"))
        text = text_of(admin.get(LIST, {"error_type": "OSError"}))
        assert "Replay all 1 that match" in text
        address = reverse("admin:jobs_deadletter_replay_matching")
        asked = text_of(admin.get(address, {"error_type": "OSError"}))
        assert "Replay 1 dead letters" in asked
        assert "error type: OSError" in asked
        assert not BulkReplay.objects.exists()

    def test_are_replayed_in_bulk_at_the_rate_that_was_posted(self, admin):
        make_letter()
        address = reverse("admin:jobs_deadletter_replay_matching")
        given = {"rate_per_second": "5", "canary": "on", "stop_share": "0.2"}
        answer = admin.post(address, given, follow=True)
        started = BulkReplay.objects.get()
        assert (started.rate_per_second, started.canary, started.stop_share) == (5, True, 0.2)
        assert "replay of 1 dead letters" in text_of(answer)

    def test_are_told_what_is_wrong_with_a_rate(self, admin):
        make_letter()
        address = reverse("admin:jobs_deadletter_replay_matching")
        given = {"rate_per_second": "0", "stop_share": "0.2"}
        assert "greater than or equal to 0.01" in text_of(admin.post(address, given))

    def test_may_be_nothing(self, admin):
        address = reverse("admin:jobs_deadletter_replay_matching")
        given = {"rate_per_second": "5", "stop_share": "0.2"}
        assert said(admin.post(address, given, follow=True)) == ["No open dead letter matches."]

    def test_are_stopped_by_a_click(self, admin):
        make_letter()
        row = bulk.start_bulk_replay(matching=Matching(), by="ann")
        admin.get(page_of(row, "stop"))
        row.refresh_from_db()
        assert row.state == "running"
        for _ in range(2):
            admin.post(page_of(row, "stop"))
        row.refresh_from_db()
        assert (row.state, row.note) == ("stopped", "Stopped by root@offload.example.")


class TestIncidents:
    def test_are_counted_by_their_dead_letters(self, admin):
        make_letter(tenant_id=ACME)
        make_letter(tenant_id=GLOBEX)
        done = make_letter(tenant_id=GLOBEX)
        assert done.job_id
        job_operations.replay_job(job_id=done.job_id, by="ann")

        answer = admin.get(reverse("admin:jobs_incident_changelist"))

        [incident] = answer.context["cl"].result_list
        assert (incident.total, incident.open_count, incident.tenants) == (3, 2, 2)
        assert "RuntimeError" in text_of(answer)

    def test_lead_to_their_dead_letters_and_to_their_replay(self, admin):
        make_letter()
        incident = Incident.objects.get()
        assert f"incident_id={incident.pk}" in text_of(admin.get(page_of(incident)))
        answer = admin.get(page_of(incident, "replay_open"), follow=True)
        assert "Replay 1 dead letters" in text_of(answer)


class TestAlertsAndAudit:
    def test_show_what_was_told_and_whether_it_arrived(self, admin, settings):
        settings.ALERT_EMAIL = ["ops@example.com"]
        make_letter()
        assert "email pending" in text_of(admin.get(reverse("admin:jobs_alert_changelist")))
        assert "drills.run_atomic" in text_of(admin.get(page_of(Alert.objects.get())))

    def test_show_who_did_what(self, admin):
        letter = make_letter()
        admin.post(page_of(letter, "discard"), {"reason": "a test"})
        entry = AuditEntry.objects.get()
        assert "a test" in text_of(admin.get(page_of(entry)))
        entries = reverse("admin:jobs_auditentry_changelist")
        assert "dead_letter.discarded" in text_of(admin.get(entries, {"q": entry.subject}))
