"""Every error of the API is a problem document (RFC 9457) that names what is at fault."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.http import Http404
from django.test import Client
from django.urls import path
from django.utils import timezone
from ninja import NinjaAPI, Router

from jobs.http import Problem, RequestSchema
from project import problems
from project.accounts.models import ApiToken
from project.accounts.scopes import Role
from project.strict_json import StrictParser
from project.urls import urlpatterns as real_urls
from tests.people import bearer, make_member, make_token

pytestmark = pytest.mark.django_db

JOBS = "/api/v1/jobs"
ECHO = "/api/echo/"


class Inner(RequestSchema):
    words: list[str] = []


class Echo(RequestSchema):
    name: str
    count: int = 0
    inner: Inner = Inner()


router = Router()


@router.post("")
def echo(request, body: Echo):
    return body.model_dump()


@router.get("failing/{how}")
def fail(request, how: str):
    raise {
        "unexpected": RuntimeError("the password is swordfish"),
        "database": OperationalError("connection to 10.0.0.1 failed"),
        "missing": Http404("no such row"),
        "problem": Problem(418, "Teapot", "Short and stout.", field="spout"),
    }[how]


api = NinjaAPI(urls_namespace="echo", parser=StrictParser(), docs_url=None, openapi_url=None)
problems.add_handlers(api)
api.add_router("", router)
urlpatterns = [*real_urls, path("api/echo/", api.urls)]


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


@pytest.fixture
def browser(ann):
    """A signed-in browser whose requests must show the CSRF token."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(ann)
    return client


def problem_of(answer, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"]
    assert document["title"]
    return document


def fields_of(answer, status: int) -> list[str]:
    return [fault["field"] for fault in problem_of(answer, status)["errors"]]


class TestCredentials:
    def test_are_asked_for_where_there_are_none(self, client):
        answer = client.get(JOBS)
        assert problem_of(answer, 401)["detail"] == "You are not signed in."
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "malformed"),
            ("off_nonsense", "malformed"),
            (f"off_{'0' * 12}_{'x' * 43}", "not known"),
        ],
    )
    def test_are_refused_with_the_reason(self, client, text, reason):
        answer = client.get(JOBS, headers=bearer(text))
        assert reason in problem_of(answer, 401)["detail"]

    def test_expire(self, client, acme, ann):
        token, text = make_token(acme, ann)
        ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(days=1))
        assert "expired" in problem_of(client.get(JOBS, headers=bearer(text)), 401)["detail"]

    def test_of_a_bad_token_do_not_fall_back_to_the_session(self, browser):
        problem_of(browser.get(JOBS, headers=bearer("off_nonsense")), 401)

    def test_need_a_scope(self, client, acme, ann):
        _, text = make_token(acme, ann, scopes=["exports:read"])
        document = problem_of(client.get(JOBS, headers=bearer(text)), 403)
        assert "jobs:read" in document["detail"]

    def test_need_a_tenant(self, browser, ann):
        ann.memberships.all().delete()
        assert problem_of(browser.get(JOBS), 403)["title"] == "No tenant"


class TestCsrf:
    def test_is_asked_of_a_session_that_changes_something(self, browser):
        answer = browser.post(f"{JOBS}/{'0' * 8}-0000-7000-8000-{'0' * 12}/cancel")
        assert problem_of(answer, 403)["title"] == "CSRF token missing"

    def test_is_not_asked_of_one_that_reads(self, browser):
        assert browser.get(JOBS).status_code == 200

    def test_is_satisfied_by_the_header(self, browser):
        browser.get("/admin/login/")
        browser.cookies["csrftoken"] = "a" * 32
        answer = browser.post(
            f"{JOBS}/{'0' * 8}-0000-7000-8000-{'0' * 12}/cancel", headers={"X-CSRFToken": "a" * 32}
        )
        problem_of(answer, 404)

    def test_is_not_asked_of_a_token(self, acme, ann):
        client = Client(enforce_csrf_checks=True)
        answer = client.post(
            f"{JOBS}/{'0' * 8}-0000-7000-8000-{'0' * 12}/cancel",
            headers=bearer(make_token(acme, ann)[1]),
        )
        problem_of(answer, 404)


class TestRoutes:
    @pytest.mark.parametrize("where", ["/api/v1/nothing", "/api/v1/jobs/", "/api/", "/api/v2/jobs"])
    def test_that_do_not_exist_answer_404(self, client, where):
        problem_of(client.get(where), 404)

    def test_tell_the_methods_they_have(self, client):
        answer = client.delete(JOBS)
        problem_of(answer, 405)
        assert answer.headers["Allow"] == "GET"

    def test_outside_the_api_are_pages_for_people(self, client):
        answer = client.get("/nothing")
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/html")

    def test_refuse_an_unknown_host_name(self, client):
        problem_of(client.get(JOBS, headers={"Host": "evil.example"}), 400)


@pytest.mark.urls(__name__)
class TestBodies:
    def post(self, body, content_type="application/json"):
        client = Client(raise_request_exception=False)
        return client.post(ECHO, body, content_type=content_type)

    def test_that_are_right_arrive(self):
        assert self.post('{"name": "Zoë 🦊"}').json()["name"] == "Zoë 🦊"

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ("{}", ["name"]),
            ('{"name": 7}', ["name"]),
            ('{"name": "x", "count": "many"}', ["count"]),
            ('{"name": "x", "colour": "red", "size": 1}', ["colour", "size"]),
            ('{"name": "x", "inner": {"words": ["a", 2]}}', ["inner.words.1"]),
            ('{"name": "x", "inner": {"more": 1}}', ["inner.more"]),
            ("[]", ["body"]),
            ('"x"', ["body"]),
            ("", ["body"]),
        ],
    )
    def test_that_do_not_fit_name_each_field(self, body, fields):
        assert fields_of(self.post(body), 422) == fields

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ('{"name": "a\\u0000b"}', "name"),
            ('{"name": "x", "inner": {"words": ["ok", "\\u0000"]}}', "inner.words.1"),
            ('{"name": "half \\ud83d"}', "name"),
            ('{"name": "x", "bad\\u0000key": 1}', "body"),
        ],
    )
    def test_with_text_that_no_database_takes_name_the_field(self, body, field):
        assert fields_of(self.post(body), 422) == [field]

    @pytest.mark.parametrize(
        "body",
        [
            "{",
            "name=x",
            '{"name": NaN}',
            '{"name": -Infinity}',
            b'{"name": "\xff"}',
            "[" * 30_000,
            "1" * 5_000,
        ],
    )
    def test_that_are_not_json_are_refused(self, body):
        assert problem_of(self.post(body), 400)["title"] == "Invalid JSON"

    def test_over_64_kib_are_refused(self):
        assert fields_of(self.post('{"name": "' + "x" * 65_536 + '"}'), 413) == ["body"]

    def test_over_djangos_own_limit_are_refused(self):
        assert fields_of(self.post(b"x" * 3_000_000), 413) == ["body"]


@pytest.mark.urls(__name__)
class TestFailures:
    @pytest.fixture
    def client(self):
        return Client(raise_request_exception=False)

    def test_that_nobody_foresaw_tell_nothing_of_the_inside(self, client):
        answer = client.get(f"{ECHO}failing/unexpected")
        problem_of(answer, 500)
        assert "swordfish" not in answer.content.decode()

    def test_of_the_database_ask_to_come_again(self, client):
        answer = client.get(f"{ECHO}failing/database")
        assert "10.0.0.1" not in problem_of(answer, 503)["detail"]
        assert answer.headers["Retry-After"] == "5"

    def test_of_a_missing_row_are_404(self, client):
        problem_of(client.get(f"{ECHO}failing/missing"), 404)

    def test_that_a_view_raises_are_told_as_they_are(self, client):
        document = problem_of(client.get(f"{ECHO}failing/problem"), 418)
        assert document["type"] == "urn:problem-type:teapot"
        assert document["errors"] == [{"field": "spout", "detail": "Short and stout."}]


class TestOpenApi:
    def test_knows_both_ways_to_sign_in(self, client):
        schema = client.get("/api/v1/openapi.json").json()
        schemes = schema["components"]["securitySchemes"]
        assert schemes["BearerToken"] == {"type": "http", "scheme": "bearer"}
        assert schemes["SessionCookie"]["in"] == "cookie"
        assert schema["paths"]["/api/v1/jobs"]["get"]["security"] == [
            {"BearerToken": []},
            {"SessionCookie": []},
        ]

    def test_has_a_page(self, client):
        assert "swagger" in client.get("/api/v1/docs").content.decode()
