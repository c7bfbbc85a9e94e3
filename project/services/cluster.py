"""Makes PostgreSQL's data directory, at a place that the user it runs as can reach."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from project.services.child import ServiceFailed
from project.services.programs import postgres_program


def make_home(run: Path, user: str | None) -> Path:
    """
    Return a directory that belongs to `user`, made the first time.

    It is `<run>/postgres`, or a link of that name to a directory under /var/tmp where a parent
    of the checkout is closed to that user (root's home, for one). Idempotent.
    """
    home = run / "postgres"
    if home.exists():
        return home.resolve()
    if user is None or _reaches(user, run):
        home.mkdir(mode=0o700)
    else:
        home.symlink_to(tempfile.mkdtemp(prefix="offload-postgres-", dir="/var/tmp"))
    if user:
        shutil.chown(home, user, user)
    return home.resolve()


def make_cluster(home: Path, *, user: str | None, role: str, password: str) -> Path:
    """
    Return the data directory, made by initdb the first time with one superuser. Idempotent.

    :raises ServiceFailed: if initdb fails.
    """
    data = home / "data"
    if (data / "PG_VERSION").exists():
        return data
    secret = home / "password"
    secret.write_text(password)
    secret.chmod(0o600)
    if user:
        shutil.chown(secret, user, user)
    try:
        _initdb(data, secret, user, role)
    finally:
        secret.unlink()
    return data


def _initdb(data: Path, secret: Path, user: str | None, role: str) -> None:
    argv = [postgres_program("initdb"), "-D", data, "-U", role, f"--pwfile={secret}"]
    argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    done = _run(argv, user)
    if done.returncode:
        raise ServiceFailed(f"initdb ended with {done.returncode}:\n{done.stderr}")


def _reaches(user: str, path: Path) -> bool:
    return _run(["test", "-x", path], user).returncode == 0


def _run(argv: Iterable[object], user: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the commands are our own
        [str(word) for word in argv],
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
