"""`make up SERVICES=1`: the product as in production, on private servers, until Ctrl-C."""

import os
import signal
import time
from pathlib import Path

from project import laptop
from project.services import Child, Services, services
from project.services.identity import end_all
from project.services.ports import LOOPBACK, free_port, is_free
from project.services.procfile import RELEASE, read_procfile
from project.services.runs import CHECKOUT
from project.services.secret import kept_secret

DATABASE = "offload"
STOP_SECONDS = 30  #: Longer than a worker takes to hand over what runs.


def up() -> int:
    """Start servers and processes, tell where they are, wait; return the exit code. Blocks."""
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, _: asked.append(signum))
    print("Starting PostgreSQL and RabbitMQ ...", flush=True)
    with services("up", keep=True) as running:
        processes: list[Child] = []
        try:
            processes += _start(running)
            return _wait(processes, asked)
        finally:
            print("Stopping: what runs has a moment to finish.", flush=True)
            end_all([one.identity for one in processes if one.alive], patience_seconds=STOP_SECONDS)


def _start(running: Services) -> list[Child]:
    ports = {"web": _port(8000), "flower": _port(5555)}
    flower_login = f"admin:{kept_secret(running.run / 'flower.password')}"
    env = laptop.environment(
        DATABASE_URL=_database(running),
        CELERY_BROKER_URL=running.rabbitmq.create_vhost(DATABASE),
        GUNICORN_CMD_ARGS=f"--bind {LOOPBACK}:{ports['web']}",
        FLOWER_ADDRESS=f"{LOOPBACK}:{ports['flower']}",
        FLOWER_BASIC_AUTH=flower_login,
    )
    commands = read_procfile(CHECKOUT / "Procfile")
    _release(commands.pop(RELEASE), env, running.run)
    login = laptop.seed(env, password_file=running.run / "admin.password")
    started = [
        _child(name, command, env, running.run).start() for name, command in commands.items()
    ]
    rabbitmq = running.rabbitmq
    _welcome(
        {
            "Admin": f"http://{LOOPBACK}:{ports['web']}/admin/   {login}",
            "API": f"http://{LOOPBACK}:{ports['web']}/api/v1/docs",
            "Flower": f"http://{LOOPBACK}:{ports['flower']}/   {flower_login.replace(':', ' / ')}",
            "RabbitMQ": f"{rabbitmq.management_url}/   {rabbitmq.user} / {rabbitmq.password}",
            "PostgreSQL": env["DATABASE_URL"],
            "Logs": str(running.run),
        }
    )
    return started


def _database(running: Services) -> str:
    found = running.postgres.has_database(DATABASE)
    return running.postgres.url(DATABASE) if found else running.postgres.create_database(DATABASE)


def _release(command: str, env: dict[str, str], run: Path) -> None:
    release = Child(RELEASE, ["sh", "-c", command], directory=run, env=env, cwd=CHECKOUT).start()
    while release.alive:
        time.sleep(0.1)
    if release.exit_code:
        raise SystemExit(f"The release command failed:\n{release.log_tail()}")


def _child(name: str, command: str, env: dict[str, str], run: Path) -> Child:
    # The shell becomes the process: the pid that we signal is its own.
    argv = ["sh", "-c", f"exec {command}"]
    return Child(name, argv, directory=run, env=env, cwd=CHECKOUT)


def _wait(processes: list[Child], asked: list[int]) -> int:
    """Wait for a signal (0) or for a process that ends by itself (1)."""
    while not asked:
        if ended := [one for one in processes if not one.alive]:
            for one in ended:
                print(f"{one.name} ended with {one.exit_code}:\n{one.log_tail()}", flush=True)
            return 1
        time.sleep(0.2)
    return 0


def _welcome(addresses: dict[str, str]) -> None:
    for title, address in addresses.items():
        print(f"  {title:<10} {address}")
    print(f"Offload is up (pid {os.getpid()}); Ctrl-C stops it.", flush=True)


def _port(usual: int) -> int:
    return usual if is_free(usual) else free_port()
