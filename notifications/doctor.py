"""The check that the secrets of webhook endpoints can be read."""

from jobs.doctor import Finding, Status
from notifications.operations.reencryption import count_unreadable_endpoints


def secrets_are_readable() -> Finding:
    unreadable = count_unreadable_endpoints()
    if unreadable:
        return Finding(
            Status.FAILED,
            f"{unreadable} webhook endpoints have a secret that no key can read.",
            "Add the key that they were written with to SECRETS_KEYS, behind the first.",
        )
    return Finding(Status.OK, "The secrets of all webhook endpoints can be read.")
