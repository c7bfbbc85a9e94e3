"""Settings come from the environment; a bad one stops every process with one line."""

import os
import subprocess
import sys

import pytest

from project import env
from project.env import BadSetting
from tests.harness.variables import CHECKOUT

KEY = "a-key-for-tests-only-0123456789-0123456789-0123456789"

#: What somebody might set by mistake, and the variable that the one line names.
FAULTS = {
    "SECRET_KEY": [""],
    "DEBUG": ["perhaps"],
    "HTTPS_ONLY": ["2"],
    "DATABASE_URL": [
        "", "nonsense", "mysql://db/offload", "postgres://u:p@db:port/offload", "postgres://",
    ],
    "CELERY_BROKER_URL": ["", "redis://queue", "amqp://", "amqp://u:p@queue:port//"],
    "EMAIL_URL": ["nonsense", "smtp://mail:port", "smtp://"],
    "DEFAULT_FROM_EMAIL": ["", "Offload offload@example.com"],
    "EXPORTS_STORAGE_URL": ["", "ftp://files", "/var/exports", "file://exports", "s3://"],
    "ALERT_WEBHOOK_URL": ["", "hooks.example.com", "ftp://hooks", "http://", "http://hooks:port"],
    "ALERT_EMAIL": ["ops", "ops@", "@example.com", "ops@example.com, on call@example.com"],
    "PUBLIC_URL": ["", "ftp://offload.example.com", "offload.example.com", "https://u:p@x"],
    "SECRETS_KEYS": ["short"],
    "NOTIFICATIONS_PORTS": ["", "0", "65536", "https"],
    "NOTIFICATIONS_TRUSTED_NETWORKS": ["10.0.0.1/8", "300.1.1.1", "intranet"],
    "NOTIFICATIONS_DELIVERY_SECONDS": ["0"],
    "LOG_LEVEL": ["loud"],
    "LOG_FORMAT": ["xml"],
    "SESSION_KEEP_SECONDS": ["59"],
    "NOTIFICATIONS_DISABLE_AFTER_DAYS": ["9999999999"],
    "JOBS_LEASE_SECONDS": ["60s"],
    "JOBS_HARD_LIMIT_SECONDS": ["3600"],
    "JOBS_EXTRA_TASK_MODULES": ["no.such.module"],
}  # fmt: skip
CASES = [(name, value) for name, values in FAULTS.items() for value in values]


def check(**variables):
    """Run `manage.py check` with these variables and no others of the product's."""
    given = {"SECRET_KEY": KEY, "DATABASE_URL": "sqlite:///:memory:", "HTTPS_ONLY": "false"}
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={**inherited, **given, **variables},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


class TestAProcess:
    def test_starts_with_what_must_be_set(self):
        done = check()

        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(("name", "value"), CASES)
    def test_ends_with_one_line_that_names_the_variable(self, name, value):
        done = check(**{name: value})

        assert done.returncode != 0
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{name}: ")
        assert f"Example: {name}=" in line

    @pytest.mark.parametrize(
        ("name", "scheme"),
        [
            ("DATABASE_URL", "postgres"),
            ("CELERY_BROKER_URL", "amqp"),
            ("EMAIL_URL", "smtp"),
            ("RABBITMQ_MANAGEMENT_URL", "http"),
            ("ALERT_WEBHOOK_URL", "https"),
            ("PUBLIC_URL", "https"),
            ("EXPORTS_STORAGE_URL", "s3"),
        ],
    )
    @pytest.mark.parametrize("rest", ["user:can/ary@host:25/x", "user:canary"])
    def test_quotes_no_part_of_a_password(self, name, scheme, rest):
        done = check(**{name: f"{scheme}://{rest}"})

        assert done.returncode != 0
        assert done.stderr.startswith(f"{name}: ")
        assert "can'" not in done.stderr.replace("can't", "")
        assert "ary" not in done.stderr

    def test_reads_a_secret_from_a_file(self, tmp_path):
        (tmp_path / "key").write_text(f"{KEY}\n")

        assert check(SECRET_KEY="", SECRET_KEY_FILE=str(tmp_path / "key")).returncode == 0

    @pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
    def test_names_the_variable_of_a_file_that_it_can_not_read(self, tmp_path, content):
        path = tmp_path / "key"
        if content is not None:
            path.write_bytes(content)

        done = check(SECRET_KEY_FILE=str(path))

        assert done.returncode != 0
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"SECRET_KEY_FILE: {path} can't be read (")

    def test_names_the_setting_that_the_engine_can_not_work_with(self):
        done = check(JOBS_LEASE_SECONDS="5")

        assert done.returncode != 0
        assert "JOBS_LEASE_SECONDS" in done.stderr


class TestText:
    def test_prefers_the_file(self, monkeypatch, tmp_path):
        (tmp_path / "value").write_text("from the file\n")
        monkeypatch.setenv("OFFLOAD_TEST", "from the environment")
        monkeypatch.setenv("OFFLOAD_TEST_FILE", str(tmp_path / "value"))

        assert env.text("OFFLOAD_TEST") == "from the file"

    def test_is_the_default_where_nothing_is_set(self):
        assert env.text("OFFLOAD_TEST", "default") == "default"


class TestFlag:
    @pytest.mark.parametrize(
        ("value", "meant"),
        [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False), ("", False)],
    )
    def test_is_what_people_write(self, monkeypatch, value, meant):
        monkeypatch.setenv("OFFLOAD_TEST", value)

        assert env.flag("OFFLOAD_TEST", default=not meant) is meant


class TestNumber:
    def test_includes_its_bounds(self, monkeypatch):
        monkeypatch.setenv("OFFLOAD_TEST", "7")

        assert env.number("OFFLOAD_TEST", 1, least=7, most=7) == 7

    @pytest.mark.parametrize("value", ["", "60s", "-60", "6e1", "6.0", "64 KiB"])
    def test_is_whole_and_not_negative(self, monkeypatch, value):
        monkeypatch.setenv("OFFLOAD_TEST", value)

        with pytest.raises(BadSetting, match="OFFLOAD_TEST: .* is not a whole number, from 0 to"):
            env.number("OFFLOAD_TEST", 60)

    @pytest.mark.parametrize(
        ("name", "most"),
        [("X_SECONDS", "604800"), ("X_HOURS", "8760"), ("X_DAYS", "36500"), ("X_MAX", "1000000")],
    )
    def test_has_a_most_by_its_unit(self, monkeypatch, name, most):
        monkeypatch.setenv(name, "9999999999")

        with pytest.raises(BadSetting, match=f"{name}: 9999999999 is not from 0 to {most}"):
            env.number(name, 60)

    def test_says_which_bounds(self, monkeypatch):
        monkeypatch.setenv("OFFLOAD_TEST", "8")

        with pytest.raises(BadSetting, match="OFFLOAD_TEST: 8 is not from 1 to 7"):
            env.number("OFFLOAD_TEST", 1, least=1, most=7)


class TestNames:
    def test_forgive_spaces_and_a_last_comma(self, monkeypatch):
        monkeypatch.setenv("OFFLOAD_TEST", " one, two ,")

        assert env.names("OFFLOAD_TEST") == ["one", "two"]
