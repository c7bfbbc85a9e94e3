"""Tenants hear of their dead letters: the first of a cause at once, then one per interval."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import enqueue_many
from jobs.alerts import tenants, watch
from jobs.dead_letters import at_once as fast
from jobs.dead_letters.operations import discard_dead_letter
from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.models import Alert, DeadLetter, Incident, Job, TenantIncident
from jobs.states import SYSTEM_TENANT, JobState
from tests.dead import dead_message_of
from tests.deliveries import at_once
from tests.drills import ACME, GLOBEX, make_job, run_atomic
from tests.letters import make_letter, make_unreadable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def by_hand(monkeypatch):
    """The dead letters that the fast path did not take."""
    seen = []
    store = fast.store

    def watch_store(message):
        letter = store(message)
        if letter is None:
            seen.append(message.job_id)
        return letter

    monkeypatch.setattr(fast, "store", watch_store)
    return seen


def make_failed(tenant_id=ACME):
    job = make_job(state=JobState.RUNNING, tenant_id=tenant_id)
    lifecycle.fail(job, RuntimeError("it can't be done"), message_follows=True)
    return job


def make_many_failed(count, tenant_id=ACME):
    jobs = enqueue_many(run_atomic, [{}] * count, tenant_id=tenant_id)
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
        state="failed", dispatch=1, attempt=1, failures=1, error="RuntimeError: it can't be done",
        settled_at=timezone.now(),
    )  # fmt: skip
    return list(Job.objects.filter(pk__in=[job.pk for job in jobs]).order_by("pk"))


def announced(tenant_id=ACME):
    """Return what a tenant is told, in order."""
    jobs = Job.objects.filter(type="notifications.announce_event", tenant_id=tenant_id)
    return [job.payload["data"] for job in jobs.order_by("pk")]


def counts(tenant_id=ACME):
    return [data["count"] for data in announced(tenant_id)]


def let_interval_pass():
    hour_ago = timezone.now() - timedelta(hours=1)
    TenantIncident.objects.update(last_told_at=hour_ago)
    Incident.objects.update(last_alert_at=hour_ago)


class TestTheFirstOfACause:
    def test_is_told_at_once(self):
        letter = make_letter(OSError("disk is full"), failures=3)
        assert announced() == [
            {
                "incident_id": str(letter.incident_id),
                "dead_letter_id": str(letter.pk),
                "job_id": str(letter.job_id),
                "type": run_atomic.name,
                "error": "OSError: disk is full",
                "attempts": 4,
                "count": 1,
            }
        ]

    def test_is_told_to_each_tenant(self):
        make_letter(tenant_id=ACME)
        make_letter(tenant_id=GLOBEX)
        make_letter(tenant_id=GLOBEX)
        assert (counts(ACME), counts(GLOBEX)) == ([1], [1])
        assert Incident.objects.count() == Alert.objects.count() == 1

    def test_is_told_for_each_cause(self):
        make_letter(OSError("disk is full"))
        make_letter(KeyError("lamp"))
        assert counts() == [1, 1]

    def test_of_the_systems_own_is_told_to_nobody(self):
        make_letter(tenant_id=None)
        make_unreadable()
        assert not Job.objects.filter(type="notifications.announce_event").exists()
        assert DeadLetter.objects.filter(tenant_id=SYSTEM_TENANT).count() == 1
        assert not TenantIncident.objects.exists()

    @pytest.mark.parametrize("lane", tenants.SILENT_LANES)
    def test_of_a_lane_that_carries_the_news_is_told_to_nobody(self, lane):
        for _ in range(2):
            make_letter(queue=lane)
        assert announced() == []
        assert not TenantIncident.objects.exists()

    def test_is_told_once_by_many_at_the_same_moment(self):
        jobs = [make_failed() for _ in range(6)]

        letters = at_once(*[lambda job=job: record(dead_message_of(job)) for job in jobs])

        assert all(isinstance(letter, DeadLetter) for letter in letters), letters
        assert counts() == [1]
        assert TenantIncident.objects.count() == 1

    def test_is_told_to_each_tenant_at_the_same_moment(self):
        jobs = [make_failed(tenant) for tenant in (ACME, GLOBEX) * 3]
        letters = at_once(*[lambda job=job: record(dead_message_of(job)) for job in jobs])
        assert all(isinstance(letter, DeadLetter) for letter in letters), letters
        assert (counts(ACME), counts(GLOBEX)) == ([1], [1])


class TestTheNextOfACause:
    def test_are_told_once_with_their_number_when_the_interval_is_over(self):
        for _ in range(5):
            make_letter()
        assert counts() == [1]

        watch.look()
        assert counts() == [1]

        let_interval_pass()
        for _ in range(3):
            watch.look()
        assert counts() == [1, 4]

    def test_are_told_by_the_next_death_if_that_comes_first(self):
        for _ in range(3):
            make_letter()
        let_interval_pass()
        newest = make_letter()
        assert counts() == [1, 3]
        assert announced()[1]["dead_letter_id"] == str(newest.pk)
        let_interval_pass()
        assert tenants.tell_of_more() == 0

    def test_are_told_to_the_tenants_that_they_hit(self):
        make_letter(tenant_id=ACME)
        make_letter(tenant_id=GLOBEX)
        make_letter(tenant_id=GLOBEX)
        let_interval_pass()
        assert tenants.tell_of_more() == 1
        assert (counts(ACME), counts(GLOBEX)) == ([1], [1, 1])

    def test_that_somebody_has_dealt_with_are_no_news(self):
        make_letter()
        discard_dead_letter(dead_letter_id=make_letter().pk, by="ann", reason="known")
        let_interval_pass()
        assert tenants.tell_of_more() == 0

    def test_are_told_once_by_many_at_the_same_moment(self):
        for _ in range(3):
            make_letter()
        let_interval_pass()
        assert sum(at_once(*[tenants.tell_of_more] * 4)) == 1
        assert counts() == [1, 2]

    def test_are_told_once_by_the_watch_and_a_death_at_the_same_moment(self):
        first, second, job = [make_failed() for _ in range(3)]
        for each in (first, second):
            record(dead_message_of(each))
        let_interval_pass()
        at_once(tenants.tell_of_more, lambda: record(dead_message_of(job)))
        assert len(counts()) == 2

    def test_of_a_thousand_are_one_announcement_per_tenant(self):
        for tenant_id in (ACME, GLOBEX):
            for job in make_many_failed(1_000, tenant_id):
                assert record(dead_message_of(job))
        assert (counts(ACME), counts(GLOBEX)) == ([1], [1])
        let_interval_pass()
        assert tenants.tell_of_more() == 2
        assert (counts(ACME), counts(GLOBEX)) == ([1, 999], [1, 999])
        assert DeadLetter.objects.count() == 2_000


class TestTheFastPath:
    def test_takes_all_but_the_first_of_each_tenant(self, by_hand):
        first, *rest = [make_failed() for _ in range(4)]
        foreign_first, *foreign_rest = [make_failed(GLOBEX) for _ in range(3)]
        for job in (first, *rest, foreign_first, *foreign_rest):
            assert record(dead_message_of(job))

        assert by_hand == [first.pk, foreign_first.pk]
        assert (counts(ACME), counts(GLOBEX)) == ([1], [1])

    def test_leaves_the_one_that_is_to_be_told_of(self, by_hand):
        record(dead_message_of(make_failed()))
        by_hand.clear()
        # The operators were told lately, the tenant was not
        TenantIncident.objects.update(last_told_at=timezone.now() - timedelta(hours=1))
        job = make_failed()
        assert record(dead_message_of(job))
        assert by_hand == [job.pk]
        assert counts() == [1, 1]

    @pytest.mark.parametrize("lane", tenants.SILENT_LANES)
    def test_takes_those_of_which_no_tenant_is_told(self, by_hand, lane):
        for _ in range(3):
            make_letter(queue=lane)
        Incident.objects.update(last_alert_at=timezone.now())
        by_hand.clear()
        make_letter(queue=lane)
        assert (by_hand, announced()) == ([], [])


class TestWhoIsMailed:
    def test_is_the_one_who_asked_unless_the_feature_tells_them_itself(self):
        ann = ACME
        make_letter(user_id=ann)
        make_letter(KeyError("x"), user_id=ann, type="exports.export_data")
        users = Job.objects.filter(type="notifications.announce_event").order_by("pk")
        assert [job.user_id for job in users] == [ann, None]
