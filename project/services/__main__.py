"""`python -m project.services install|up`: brings the servers, or runs the product on them."""

import argparse
import sys

from project.services import NotInstalled, RunInUse, ServiceFailed
from project.services.install import CannotInstall, install_missing
from project.services.up import up


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m project.services", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="install what is missing, with apt as root")
    install.add_argument("--browser", action="store_true", help="Chromium too, for its tests")
    commands.add_parser("up", help="run PostgreSQL, RabbitMQ and every process of the Procfile")
    chosen = parser.parse_args()
    if chosen.command == "install":
        install_missing(browser=chosen.browser)
        return 0
    return up()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CannotInstall, NotInstalled, RunInUse, ServiceFailed) as fault:
        sys.exit(str(fault))
