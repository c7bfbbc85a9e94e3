"""
Flower's configuration: `celery -A project flower` reads this file (`project.celery` names it).

Every name without an underscore that is an option of Flower's is one; its own `FLOWER_*` variables
and arguments work as ever.
"""

from django.conf import settings

from project import env

_EXAMPLE_ADDRESS = "127.0.0.1:5555"
_LOOPBACK = ("127.", "localhost:", "[::1]:")


def _refuse_embedded() -> None:
    if settings.PROFILE == "embedded":
        fault = "is not set, and Flower can't look into the queues of another process"
        raise env.BadSetting("CELERY_BROKER_URL", fault, "amqp://user:password@127.0.0.1:5672//")


def _credentials() -> list[str]:
    """Return `user:password`, one or more; only a laptop's own Flower may go without."""
    credentials = [part for part in settings.FLOWER_BASIC_AUTH.split(",") if part]
    if not all(":" in part for part in credentials):
        raise env.BadSetting("FLOWER_BASIC_AUTH", "is not user:password", "ops:a-long-password")
    private = settings.DEBUG and settings.FLOWER_ADDRESS.startswith(_LOOPBACK)
    if not credentials and not private:
        fault = "is empty: Flower would show every job to whoever asks"
        raise env.BadSetting("FLOWER_BASIC_AUTH", fault, "ops:a-long-password")
    return credentials


def _address() -> tuple[str, int]:
    host, colon, number = settings.FLOWER_ADDRESS.rpartition(":")
    if not colon or not host or not number.isdecimal() or int(number) > 65_535:
        fault = f"{settings.FLOWER_ADDRESS!r} is not an address and a port"
        raise env.BadSetting("FLOWER_ADDRESS", fault, _EXAMPLE_ADDRESS)
    return host.strip("[]"), int(number)


_refuse_embedded()
basic_auth = _credentials()
address, port = _address()
read_only = True
