"""`manage.py reencrypt_secrets`: the step between a new key and the removal of an old one."""

from typing import Any

from django.core.management.base import CommandError

from jobs.management.base import JobsCommand
from notifications.operations.reencryption import reencrypt_all


class Command(JobsCommand):
    help = (
        "Encrypt every secret again with the first key of SECRETS_KEYS. After it the other keys "
        "may be taken away."
    )

    def handle(self, **options: Any) -> None:
        done, unreadable = reencrypt_all()
        self.stdout.write(f"Encrypted again with the first key: {done}.")
        if unreadable:
            raise CommandError(
                f"{unreadable} could not be read with any key of SECRETS_KEYS: add the key that "
                "they were written with, and run this again."
            )
