"""The page behind the mail of an export, for whoever opens it and however the export stands."""

import os
import re
import urllib.request
import uuid
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.core import mail
from django.utils import timezone

from exports.models import Export
from exports.object_store.s3 import client_of_process
from exports.operations import cancel_export, object_store
from exports.tasks import delete_expired_files
from jobs.engine import lifecycle
from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from project.accounts import operations
from project.accounts.models import Session, User
from project.accounts.scopes import ROLE_SCOPES, Role
from project.workspace.models import Item, Project
from tests.announcements import export
from tests.cleaning import run_part
from tests.harness.s3 import make_bucket, s3_server
from tests.people import PASSWORD, make_member, make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


@pytest.fixture
def ann(acme):
    project = Project.objects.create(tenant=acme, name="Autumn")
    Item.objects.create(tenant=acme, project=project, sku="LAMP-1", name="Lamp, brass")
    return make_member(acme)


@pytest.fixture
def done(acme, ann):
    """A completed export of Ann's, of which she has a mail."""
    asked = export(acme, ann)
    run_enqueued_jobs()
    return Export.objects.get(pk=asked.pk)


def page_of(asked):
    return f"/exports/{asked.pk}/"


def file_of(asked):
    return f"/exports/{asked.pk}/download"


def linked(sent):
    """Return the path of the only link in a mail that leads further than home."""
    html = str(sent.alternatives[0][0])
    links = set(re.findall(rf'href="{re.escape(django_settings.PUBLIC_URL)}(/[^"]+)"', html))
    [path] = links - {"/"}
    return path


def read(answer):
    """Return the file that an answer streams; reading it to the end closes it."""
    return b"".join(answer.streaming_content)


class TestTheMailsLink:
    def test_leads_through_the_sign_in_to_the_file(self, client, ann, done):
        # Given the mail on a phone where nobody is signed in
        [sent] = mail.outbox

        # When its link is opened
        asked_to_sign_in = client.get(linked(sent), follow=True)
        assert asked_to_sign_in.request["PATH_INFO"] == "/sign-in"
        [way_on] = re.findall(r'name="next" value="([^"]*)"', asked_to_sign_in.text)
        form = {"username": ann.email, "password": PASSWORD, "next": way_on}
        page = client.post("/sign-in", form, follow=True)

        # Then the page says what there is, and its button has the file
        assert page.request["PATH_INFO"] == page_of(done)
        for text in ("items.csv", "Acme", "Completed", "CSV", f"{done.size_bytes}\xa0bytes"):
            assert text in page.text
        [button] = re.findall(r'<form action="([^"]*)">', page.text)
        answer = client.get(button)
        assert answer.headers["Content-Disposition"] == 'attachment; filename="items.csv"'
        assert b'"Lamp, brass"' in read(answer)

    def test_is_in_the_text_part_too(self, done):
        assert f"{django_settings.PUBLIC_URL}{page_of(done)}" in mail.outbox[0].body

    def test_of_one_that_failed_says_so(self, client, acme, ann):
        asked = export(acme, ann, dataset="projects")
        lifecycle.fail(Job.objects.get(pk=asked.job_id), OSError("disk is full"), outcome=None)
        run_enqueued_jobs()
        client.force_login(ann)
        page = client.get(linked(mail.outbox[0]))
        assert page.status_code == 200
        assert "could not be made" in page.text

    @pytest.mark.parametrize("path", ["", "download"])
    def test_asks_whoever_is_locked_out_to_sign_in(self, client, ann, done, path):
        client.force_login(ann)
        User.objects.update(is_active=False)
        answer = client.get(page_of(done) + path)
        assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/sign-in")


class TestWhoeverWorksForAnotherTenant:
    @pytest.fixture(autouse=True)
    def globex(self, client, ann):
        """The tenant that Ann's browser works for."""
        globex = make_tenant("globex")
        operations.add_member(tenant=globex, user=ann)
        client.force_login(ann)
        client.post("/switch-tenant", {"tenant_id": globex.pk})
        return globex

    def test_gets_the_page_and_the_file_all_the_same(self, client, globex, done):
        assert client.get(page_of(done)).status_code == 200
        assert b'"Lamp, brass"' in read(client.get(file_of(done)))
        assert Session.objects.get().active_tenant == globex

    def test_gets_neither_once_removed(self, client, acme, ann, done):
        operations.remove_member(tenant=acme, user=ann)
        assert client.get(page_of(done)).status_code == 404
        assert client.get(file_of(done)).status_code == 404

    def test_gets_neither_in_a_role_that_may_not_read(self, client, done, monkeypatch):
        monkeypatch.setitem(ROLE_SCOPES, Role.MEMBER, frozenset())
        assert client.get(page_of(done)).status_code == 404
        assert client.get(file_of(done)).status_code == 404


class TestAStranger:
    @pytest.mark.parametrize("path", ["", "download"])
    def test_learns_nothing_of_ids(self, client, done, path):
        globex = make_tenant("globex")
        client.force_login(make_member(globex, "eve@globex.example", Role.OWNER))
        foreign = client.get(page_of(done) + path)
        unknown = client.get(f"/exports/{uuid.uuid4()}/{path}")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.text == unknown.text
        assert "eve@globex.example" in foreign.text
        assert "items.csv" not in foreign.text

    def test_of_no_tenant_neither(self, client, done):
        client.force_login(User.objects.create_user("eve@evil.example"))
        assert client.get(page_of(done)).status_code == 404


class TestTheStatus:
    def wait(self, asked):
        pass

    def run(self, asked):
        Export.objects.update(status="processing", rows_done=1_200, rows_total=4_000)

    def cancel(self, asked):
        cancel_export(tenant_id=asked.tenant_id, export_id=asked.pk, by="Ann")

    def fail(self, asked):
        lifecycle.fail(asked.job, OSError("<disk> is full"), outcome=None)

    @pytest.mark.parametrize(
        ("become", "said"),
        [
            (wait, "waits for its turn"),
            (run, "1,200 of 4,000"),
            (cancel, "was cancelled"),
            (fail, "could not be made"),
        ],
    )
    def test_is_told_and_there_is_no_button(self, client, acme, ann, become, said):
        asked = export(acme, ann)
        become(self, asked)
        client.force_login(ann)

        page = client.get(page_of(asked))

        assert page.status_code == 200
        assert said in page.text
        assert "Download" not in page.text
        assert client.get(file_of(asked)).url == page_of(asked)

    def test_of_a_finished_one_has_the_day_until_which_it_stays(self, client, ann, done, settings):
        settings.EXPORTS_KEEP_DAYS = 3
        Export.objects.update(settled_at="2026-11-20T10:00:00Z")
        client.force_login(ann)
        assert "23 November 2026, 10:00 UTC" in client.get(page_of(done)).text

    def test_is_that_it_was_deleted_once_it_has_expired(self, client, ann, done):
        days = django_settings.EXPORTS_KEEP_DAYS
        run_part(delete_expired_files, at=timezone.now() + timedelta(days=days + 1))
        client.force_login(ann)
        for address in (page_of(done), file_of(done)):
            page = client.get(address)
            assert page.status_code == 404
            assert f"kept for {days} days" in page.text

    def test_of_a_lost_file_is_that_there_is_none(self, client, ann, done):
        object_store().delete(done.key)
        client.force_login(ann)
        assert client.get(file_of(done)).status_code == 404


class TestThePage:
    def test_takes_no_posts_and_is_kept_by_no_browser(self, client, ann, done):
        client.force_login(ann)
        assert client.post(page_of(done)).status_code == 405
        assert client.post(file_of(done)).status_code == 405
        page, file = client.get(page_of(done)), client.get(file_of(done))
        assert read(file)
        for answer in (page, file):
            assert "no-store" in answer.headers["Cache-Control"]

    def test_leads_to_a_signed_link_where_the_store_is_a_bucket(
        self, client, acme, ann, settings, monkeypatch
    ):
        with s3_server() as endpoint:
            bucket = make_bucket(endpoint)
            for name, value in bucket.environment.items():
                monkeypatch.setenv(name, value)
            client_of_process.cache_clear()
            settings.EXPORTS_STORAGE_URL = bucket.url
            asked = export(acme, ann)
            run_enqueued_jobs()
            client.force_login(ann)

            answer = client.get(file_of(asked))

            assert answer.status_code == 302
            assert urlsplit(answer.url).netloc == urlsplit(endpoint).netloc
            with urllib.request.urlopen(answer.url) as file:
                assert b'"Lamp, brass"' in file.read()
            client_of_process(os.getpid()).close()
            client_of_process.cache_clear()
