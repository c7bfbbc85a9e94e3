"""`Idempotency-Key`: work is done once, whoever asks how often and however many at once."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

from jobs import enqueue
from jobs.http import Problem
from jobs.idempotency import Answer, answer_once
from jobs.ids import new_id
from jobs.models import IdempotentRequest, Job
from tests.harness.tasks import Errand, do_nothing
from tests.harness.variables import CHECKOUT

ACME, GLOBEX = new_id(), new_id()
URL = "/api/v1/exports"


def request_with(key, body=None, *, url=URL):
    headers = {} if key is None else {"Idempotency-Key": key}
    text = json.dumps(body or {"format": "csv", "dataset": "items"})
    return RequestFactory().post(url, text, content_type="application/json", headers=headers)


def ask(key, body=None, *, tenant=ACME, url=URL, label="export"):
    """Enqueue a job as a view would and return the answer."""

    def work() -> Answer:
        job = enqueue(do_nothing, Errand(label=label), tenant_id=tenant)
        return Answer(202, {"job_id": str(job.pk)}, location=f"/api/v1/jobs/{job.pk}")

    return answer_once(request_with(key, body, url=url), SimpleNamespace(tenant_id=tenant), work)


@pytest.mark.django_db
class TestAnswerOnce:
    def test_answers_a_second_request_as_the_first(self):
        first, second = ask("key"), ask("key")
        assert first.content == second.content
        assert first.status_code == second.status_code == 202
        assert first.headers["Location"] == second.headers["Location"]
        assert Job.objects.count() == 1

    def test_takes_another_order_of_the_fields_for_the_same(self):
        ask("key", {"format": "csv", "dataset": "items"})
        ask("key", {"dataset": "items", "format": "csv"})
        assert Job.objects.count() == 1

    def test_does_the_work_each_time_without_a_key(self):
        ask(None)
        ask(None)
        assert Job.objects.count() == 2

    @pytest.mark.parametrize("change", [{"body": {"format": "json"}}, {"url": "/api/v1/other"}])
    def test_refuses_the_key_for_another_request(self, change):
        ask("key")
        with pytest.raises(Problem) as refused:
            ask("key", **change)
        assert refused.value.status == 409
        assert refused.value.errors[0]["field"] == "Idempotency-Key"
        assert Job.objects.count() == 1

    def test_keeps_tenants_apart(self):
        assert ask("key").content != ask("key", tenant=GLOBEX).content

    @pytest.mark.parametrize("key", ["", "x" * 201, "a b", "naïve", "tab\t"])
    def test_names_the_header_that_can_not_be_a_key(self, key):
        with pytest.raises(Problem) as refused:
            ask(key)
        assert refused.value.status == 422
        assert refused.value.errors[0]["field"] == "Idempotency-Key"

    def test_forgets_a_key_after_a_day(self):
        first = ask("key", {"format": "csv"})
        IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
        second = ask("key", {"format": "json"})
        assert first.content != second.content
        assert ask("key", {"format": "json"}).content == second.content

    def test_remembers_it_until_then(self):
        first = ask("key")
        IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(hours=23))
        assert ask("key").content == first.content

    def test_leaves_the_key_free_where_the_work_was_refused(self):
        def refuse() -> Answer:
            raise Problem(422, "Invalid request", "unknown dataset", field="dataset")

        with pytest.raises(Problem):
            answer_once(request_with("key"), SimpleNamespace(tenant_id=ACME), refuse)
        assert ask("key").status_code == 202


def ask_at_once(times: int) -> set[bytes]:
    """Ask so often, each in a thread and on a connection of its own; return the answers."""
    start = Barrier(times)

    def one(_: int) -> bytes:
        try:
            start.wait()
            return bytes(ask("key").content)
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as threads:
        return set(threads.map(one, range(times)))


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_fifty_requests_make_one_job_and_get_one_answer(self):
        assert len(ask_at_once(50)) == 1
        assert (Job.objects.count(), IdempotentRequest.objects.count()) == (1, 1)

    def test_fifty_requests_with_a_key_a_day_old_make_one_job_more(self):
        old = ask("key").content
        IdempotentRequest.objects.update(created_at=timezone.now() - timedelta(days=2))
        answers = ask_at_once(50)
        assert len(answers) == 1
        assert old not in answers
        assert (Job.objects.count(), IdempotentRequest.objects.count()) == (2, 1)


ON_SQLITE = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.integration.test_idempotency import Job, ask_at_once
print(len(ask_at_once(50)), Job.objects.count())
"""


class TestOnSqlite:
    def test_fifty_requests_make_one_job_and_get_one_answer(self, tmp_path):
        # A process of its own: the tests' database is PostgreSQL.
        env = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}"}
        argv = [sys.executable, "-c", ON_SQLITE]
        done = subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True)
        assert done.stdout.split() == ["1", "1"], done.stderr
