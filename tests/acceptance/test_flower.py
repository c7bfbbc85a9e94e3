"""`celery -A project flower` starts configured: shut without a password, and only to look at."""

import subprocess
import sys

import pytest
import requests

from project.services.ports import LOOPBACK, free_port, listens
from tests.harness.client import Client
from tests.harness.tasks import Errand, do_nothing
from tests.harness.variables import CHECKOUT

PASSWORD = ("ops", "a-long-password")


def start_in_vain(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Flower where it must refuse to start."""
    argv = [sys.executable, "-m", "celery", "-A", "project", "flower"]
    return subprocess.run(argv, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def flower(system):
    """A client that has the password of a running Flower."""
    address = f"{LOOPBACK}:{free_port()}"
    env = {"FLOWER_ADDRESS": address, "FLOWER_BASIC_AUTH": ":".join(PASSWORD)}
    process = system.flower(env=env)
    port = int(address.rpartition(":")[2])
    process.wait_for(lambda: listens(port), seconds=60, what="it listened")
    client = Client(f"http://{address}")
    client.auth = PASSWORD
    return client


class TestFlower:
    def test_shows_a_job_by_its_id_and_type_as_the_admin_does(self, system, flower):
        from jobs import enqueue

        system.worker()
        system.relay()
        system.wait_for(
            lambda: flower.get("/api/workers?refresh=1").json(),
            seconds=60,
            what="Flower saw the worker",
        )
        with system.orm():
            job = enqueue(do_nothing, Errand(label="seen"))

        def seen():
            return flower.get("/api/tasks").json().get(str(job.pk))

        task = system.wait_for(
            lambda: (found := seen()) and found["state"] == "SUCCESS" and found,
            seconds=60,
            what="Flower saw the job succeed",
        )
        assert task["name"] == "tests.do_nothing"
        assert "seen" in task["kwargs"]
        assert "tests.do_nothing" in flower.get("/api/task/types").json()["task-types"]
        assert str(job.pk) in flower.get(f"/task/{job.pk}").text

    def test_asks_for_the_password_everywhere(self, flower):
        for path in ("/", "/tasks", "/workers", "/broker", "/api/tasks", "/api/workers"):
            assert requests.get(flower.url + path, timeout=30).status_code == 401, path
            wrong = requests.get(flower.url + path, auth=("ops", "guess"), timeout=30)
            assert wrong.status_code == 401, path

    def test_changes_nothing(self, flower):
        for path in ("worker/shutdown/first@host", "task/revoke/1", "task/apply/tests.do_nothing"):
            answer = flower.post(f"/api/{path}", json={"args": []})
            assert answer.status_code == 403, path

    @pytest.mark.parametrize(
        ("changes", "line"),
        [
            ({"FLOWER_BASIC_AUTH": ""}, "FLOWER_BASIC_AUTH: is empty"),
            (
                {"FLOWER_BASIC_AUTH": "", "DEBUG": "true", "FLOWER_ADDRESS": "0.0.0.0:5555"},
                "FLOWER_BASIC_AUTH: is empty",
            ),
            ({"FLOWER_BASIC_AUTH": "ops"}, "FLOWER_BASIC_AUTH: is not user:password"),
            ({"FLOWER_ADDRESS": "5555"}, "FLOWER_ADDRESS: '5555' is not an address and a port"),
            ({"CELERY_BROKER_URL": "memory://"}, "CELERY_BROKER_URL: is not set"),
        ],
    )
    def test_refuses_to_start_with_one_line_that_names_the_variable(self, system, changes, line):
        done = start_in_vain({**system.env, **changes})
        assert done.returncode == 1
        (told,) = done.stderr.strip().splitlines()
        assert told.startswith(line)
        assert "Example: " in told
