"""The files that people deploy with agree with the settings, the commands and each other."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands
from django.utils.module_loading import import_string

from jobs.alerts.operations import SEND_ALERT
from jobs.registry import get_type
from jobs.states import Channel
from project.services.procfile import read_procfile
from tests.harness.deployment import (
    compose,
    dockerfile,
    env_example,
    environment_of,
    option,
    placeholders,
    procfile,
)
from tests.harness.variables import CHECKOUT, variables_read

#: What the libraries read themselves.
LIBRARIES_READ = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_S3_ENDPOINT_URL",
    "WEB_CONCURRENCY",
    "REMAP_SIGTERM",
}
#: What compose.yaml itself makes the servers with.
COMPOSE_READS = {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"}
WORKERS = ("worker", "urgent", "notifications", "exports")
OURS = ("migrate", "web", "relay", *WORKERS, "beat", "flower")
SERVICES = compose()["services"]


def settings_load(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the deployment checks in a process that has nothing else in its environment."""
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        env={"PATH": os.environ["PATH"], **env},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


class TestEnvExample:
    def test_names_every_variable_that_is_read_and_no_other(self) -> None:
        named = {*env_example(commented=False), *env_example(commented=True)}
        assert named - LIBRARIES_READ - COMPOSE_READS == set(variables_read())

    def test_shows_the_defaults_of_the_settings(self) -> None:
        shown = env_example(commented=True)
        numbers = {
            name: str(default)
            for name, default in variables_read().items()
            if isinstance(default, int) and name in shown
        }
        assert numbers
        assert numbers == {name: shown[name] for name in numbers}

    def test_lets_the_settings_load(self, tmp_path: Path) -> None:
        done = settings_load({**env_example(commented=False), "VAR_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr


class TestProcfile:
    @pytest.mark.parametrize("name", procfile())
    def test_starts_programs_that_exist(self, name: str) -> None:
        program, *words = procfile()[name]
        if program == "python":
            assert words[0] == "manage.py"
            assert words[1] in get_commands()
        else:
            assert (Path(sys.executable).parent / program).exists()

    def test_serves_the_application_of_the_settings(self) -> None:
        module = procfile()["web"][1]
        assert f"{module}.application" == settings.WSGI_APPLICATION
        assert callable(import_string(settings.WSGI_APPLICATION))

    def test_leaves_no_lane_without_a_worker(self) -> None:
        worked = [lane for name in WORKERS for lane in option(procfile()[name], "-Q").split(",")]
        assert sorted(worked) == sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)

    def test_lets_no_ordinary_job_hold_what_timers_need(self) -> None:
        assert option(procfile()["urgent"], "-Q") == "timers,alerts,jobs.dead_letters"

    def test_has_children_left_while_every_channel_of_alerts_hangs(self) -> None:
        held = (get_type(SEND_ALERT).max_in_flight or 0) * len(Channel)
        assert int(option(procfile()["urgent"], "--concurrency")) > held + 1

    def test_gives_each_worker_a_node_name_of_its_own(self) -> None:
        names = [option(procfile()[name], "-n") for name in WORKERS]
        assert len(set(names)) == len(names)

    def test_lets_sigterm_hand_over_what_a_worker_runs(self) -> None:
        lines = (CHECKOUT / "Procfile").read_text().splitlines()
        workers = [line for line in lines if " worker " in line]
        assert len(workers) == len(WORKERS)
        assert all("REMAP_SIGTERM=SIGQUIT celery" in line for line in workers)


class TestCompose:
    def test_runs_the_product_and_what_it_stands_on(self) -> None:
        assert set(SERVICES) == {*OURS, "postgres", "rabbitmq", "mailpit"}

    def test_builds_one_image_for_all_of_the_product(self) -> None:
        shared = ("build", "image", "init", "env_file", "volumes")
        assert len({json.dumps([SERVICES[name][key] for key in shared]) for name in OURS}) == 1

    def test_runs_the_commands_of_the_procfile(self) -> None:
        commands = {name: SERVICES[name].get("command") for name in OURS if name != "web"}
        expected = procfile()
        del expected["release"]
        line = read_procfile(CHECKOUT / "Procfile")["release"]
        expected["migrate"] = ["sh", "-c", line]  # Two commands: the second only after the first.
        assert commands == {name: expected[name] for name in commands}

    @pytest.mark.parametrize("name", OURS)
    def test_sets_only_variables_that_are_read(self, name: str) -> None:
        known = {*variables_read(), *LIBRARIES_READ}
        assert set(SERVICES[name]["environment"]) <= known

    @pytest.mark.parametrize("name", ["relay", "web", "worker", "flower"])  # Each a kind.
    def test_gives_settings_they_accept(self, name: str, tmp_path: Path) -> None:
        done = settings_load({**environment_of(SERVICES[name]), "VAR_DIR": str(tmp_path)})
        assert done.returncode == 0, done.stderr

    def test_takes_from_the_env_file_what_the_example_explains(self) -> None:
        assert placeholders() <= {*variables_read(), *LIBRARIES_READ, *COMPOSE_READS}
        assert env_example(commented=False).keys() >= COMPOSE_READS

    @pytest.mark.parametrize("name", [name for name in OURS if name != "migrate"])
    def test_starts_a_process_after_servers_and_schema(self, name: str) -> None:
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "rabbitmq": {"condition": "service_healthy"},
        }

    def test_waits_only_for_the_health_of_what_tells_it(self) -> None:
        waited_for = {
            other
            for service in SERVICES.values()
            for other, how in service.get("depends_on", {}).items()
            if how["condition"] == "service_healthy"
        }
        assert waited_for == {"postgres", "rabbitmq"}
        telling = {name for name, service in SERVICES.items() if "healthcheck" in service}
        assert telling >= {*waited_for, *WORKERS, "web", "flower", "mailpit"}

    def test_takes_the_servers_that_the_design_names(self) -> None:
        assert SERVICES["rabbitmq"]["image"] == "rabbitmq:4-management"
        assert SERVICES["postgres"]["image"].startswith("postgres:")

    def test_opens_no_port_beyond_the_machine(self) -> None:
        ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
        assert ports
        assert all(port.startswith("127.0.0.1:") for port in ports)

    @pytest.mark.parametrize("name", WORKERS)
    def test_gives_workers_time_to_hand_over(self, name: str) -> None:
        worker: dict[str, Any] = SERVICES[name]
        assert worker["environment"]["REMAP_SIGTERM"] == "SIGQUIT"
        seconds = int(worker["stop_grace_period"].removesuffix("s"))
        assert seconds > settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT

    def test_keeps_data_on_declared_volumes(self) -> None:
        mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
        assert {mount.partition(":")[0] for mount in mounts} == set(compose()["volumes"])


class TestDockerfile:
    def test_runs_as_an_ordinary_user(self) -> None:
        users = [rest for word, rest in dockerfile() if word == "USER"]
        assert users
        assert users[-1] not in {"root", "0"}

    def test_stands_on_a_python_that_the_project_supports(self) -> None:
        image = next(rest for word, rest in dockerfile() if word == "FROM")
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        assert image == f"python:{project['requires-python'].removeprefix('>=')}-slim"

    def test_installs_nothing_but_what_is_pinned(self) -> None:
        installs = [rest for word, rest in dockerfile() if word == "RUN" and "pip install" in rest]
        assert installs == ["pip install --require-hashes -r requirements.txt"]

    def test_collects_static_files_while_it_builds(self) -> None:
        assert any("manage.py collectstatic" in rest for word, rest in dockerfile())

    def test_serves_what_the_procfile_serves(self) -> None:
        command = json.loads(next(rest for word, rest in dockerfile() if word == "CMD"))
        bind = command.index("--bind")
        assert [*command[:bind], *command[bind + 2 :]] == procfile()["web"]

    def test_holds_the_whole_product(self) -> None:
        allowed = (CHECKOUT / ".dockerignore").read_text().split()
        packages = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
        for name in (*packages["root_packages"], "manage.py", "requirements.txt"):
            assert f"!{name}" in allowed
