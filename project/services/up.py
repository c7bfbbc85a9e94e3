"""`make up SERVICES=1`: the product as in production, on private servers, until Ctrl-C."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from project import laptop
from project.services import Child, Services, services
from project.services.identity import end_all
from project.services.ports import LOOPBACK, free_port, is_free, listens
from project.services.procfile import RELEASE, read_procfile
from project.services.runs import CHECKOUT
from project.services.secret import kept_secret

DATABASE = "offload"
READY_SECONDS = 60
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
    env = _environment(running)
    commands = read_procfile(CHECKOUT / "Procfile")
    _release(commands.pop(RELEASE), env, running.run)
    login = laptop.seed(env, password_file=running.run / "admin.password")
    children = {name: _child(name, line, env, running.run) for name, line in commands.items()}
    for child in children.values():
        child.start()
    for name, address in _addresses(env).items():
        port = int(address.rpartition(":")[2])
        children[name].wait_for(partial(listens, port), seconds=READY_SECONDS, what="it listened")
    _welcome(running, env, login)
    return list(children.values())


def _environment(running: Services) -> dict[str, str]:
    web, flower = _port(8000), _port(5555)
    return laptop.environment(
        DATABASE_URL=_database(running),
        CELERY_BROKER_URL=running.rabbitmq.create_vhost(DATABASE),
        RABBITMQ_MANAGEMENT_URL=running.rabbitmq.management_url,
        GUNICORN_CMD_ARGS=f"--bind {LOOPBACK}:{web}",
        PUBLIC_URL=f"http://{LOOPBACK}:{web}",
        FLOWER_ADDRESS=f"{LOOPBACK}:{flower}",
        FLOWER_BASIC_AUTH=f"admin:{kept_secret(running.run / 'flower.password')}",
    )


def _addresses(env: dict[str, str]) -> dict[str, str]:
    """Return where the processes that people open in a browser listen."""
    return {"web": env["GUNICORN_CMD_ARGS"].split()[-1], "flower": env["FLOWER_ADDRESS"]}


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


def _welcome(running: Services, env: dict[str, str], login: str) -> None:
    at, rabbitmq = _addresses(env), running.rabbitmq
    addresses = {
        "Admin": f"http://{at['web']}/admin/   {login}",
        "API": f"http://{at['web']}/api/v1/docs",
        "Flower": f"http://{at['flower']}/   {env['FLOWER_BASIC_AUTH'].replace(':', ' / ')}",
        "RabbitMQ": f"{rabbitmq.management_url}/   {rabbitmq.user} / {rabbitmq.password}",
        "PostgreSQL": env["DATABASE_URL"],
        "Logs": str(running.run),
    }
    for title, address in addresses.items():
        print(f"  {title:<10} {address}")
    print(f"Offload is up (pid {os.getpid()}); Ctrl-C stops it.", flush=True)


def _port(usual: int) -> int:
    return usual if is_free(usual) else free_port()
