"""Plants secrets in endpoints, mails and invitations, and remembers where each may be read."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from jobs import enqueue
from notifications.operations import mails
from tests.harness import notifying
from tests.harness.canaries import found_in
from tests.harness.client import Client
from tests.harness.places import Place
from tests.harness.system import System
from tests.mail_server import MailServer
from tests.mail_server_child import Behaviour
from tests.webhook_receiver import Script, webhook_receiver

#: What is no secret, and must be found wherever it was: else the search itself is broken.
DECOY = "decoy_3f9a71c2b8"
LINK = "https://product.example/reset?token=c4n4ry-{}+/=&last"
HTML = '<p>Hello, <a href="{}">use this link</a>.</p>'
URL_SECRET = "c4n4ry-of-a-url"

#: How each endpoint's receiver answers, and how its delivery ends.
ENDINGS: dict[str, tuple[list[Script], Script, str]] = {
    "accepts": ([], 200, "delivered"),
    "fails once": ([500], 200, "delivered"),
    "hangs once": (["hang"], 200, "delivered"),
    "resets once": (["reset"], 200, "delivered"),
    "never accepts": ([], 500, "failed"),
    "is gone": ([], 410, "failed"),
}


@dataclass
class Planted:
    """What was planted, by its name, and what was seen while it was driven about."""

    secrets: dict[str, str] = field(default_factory=dict)
    #: Those that may be read where they belong, by the beginnings of the places' names.
    at_home: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen: list[Place] = field(default_factory=list)

    def plant(self, name: str, secret: str, *at_home: str) -> str:
        self.secrets[name], self.at_home[name] = secret, at_home
        return secret

    def leaks(self, place: Place) -> set[tuple[str, str]]:
        name, text = place
        return {
            (secret, name)
            for secret in found_in(text, self.secrets)
            if not name.startswith(self.at_home[secret])
        }


@contextmanager
def receivers() -> Iterator[dict[str, str]]:
    """Start a receiver for each of ENDINGS, and yield their URLs."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(webhook_receiver(answers=answers, default=default)).url
            for name, (answers, default, _) in ENDINGS.items()
        }


def plant_endpoint(client: Client, planted: Planted, name: str, url: str) -> str:
    """Create an endpoint, rotate its secret, and return the id of a delivery to it."""
    secret_url = planted.plant(
        f"URL that {name}",
        f"{URL_SECRET}-{len(planted.secrets)}",
        "table notifications_webhookendpoint",
        "API /api/v1/webhook-endpoints",
        "admin /admin/notifications/webhookendpoint/",
    )
    endpoint = notifying.create_endpoint(client, f"{url}/{secret_url}", f"test.{DECOY}")
    new = notifying.rotate_secret(client, endpoint["id"])
    for age, secret in (("old", endpoint["secret"]), ("new", new)):
        planted.plant(f"{age} secret of what {name}", secret.removeprefix("whsec_"))
    data = {"number": 1}
    accepted = notifying.request_sync(client, endpoint["id"], data, event_type=f"test.{DECOY}")
    return str(accepted["sync_id"])


def plant_refused(system: System, client: Client, planted: Planted) -> str:
    """As above, for one whose address is no longer one that anything is sent to."""
    sync_id = plant_endpoint(client, planted, "is refused", "http://127.0.0.1:9")
    system.rows(
        """UPDATE notifications_webhookendpoint SET url = replace(url, '127.0.0.1', '10.9.8.7')
            WHERE id = (SELECT endpoint_id FROM notifications_webhookdelivery WHERE id = %s)""",
        sync_id,
    )
    return sync_id


def plant_link(planted: Planted, name: str) -> str:
    return planted.plant(f"link of {name}", LINK.format(name), f"mail to {name}@")


def plant_mails(client: Client, planted: Planted) -> list[str]:
    """Ask for a mail with a link, and for an invitation's; return their ids."""
    html = HTML.format(plant_link(planted, "plain"))
    notifying.request_mail(client, "plain@there.example", subject=DECOY, html=html)
    answer = client.post("/api/v1/invitations", json={"email": "invited@there.example"})
    assert answer.status_code == 202, answer.text
    return [each["id"] for each in client.get(notifying.MAILS).json()["items"]]


def plant_whole_mails(system: System, planted: Planted) -> list[str]:
    """
    Enqueue a mail whole, and publish two as another program does; return their jobs' ids.

    One of these is refused by the mail server's rules, the other by ours. What the second says in
    the broker is its program's own business: it must have gone from there.
    """
    with system.orm():
        tenant = uuid.UUID(system.people.acme.id)
        mine = enqueue(mails.TASK, _whole(planted, "whole"), tenant_id=tenant)
    return [
        str(mine.pk),
        publish_mail(system, _whole(planted, "abroad")),
        publish_mail(system, _whole(planted, "abroad-refused") | {"subject": "two\nlines"}),
    ]


def _whole(planted: Planted, name: str) -> dict[str, str]:
    html = HTML.format(plant_link(planted, name))
    return {"email": f"{name}@there.example", "subject": DECOY, "html": html}


def publish_mail(system: System, mail: dict[str, str]) -> str:
    """Publish a message as Celery does, which quotes its arguments in a header; return its id."""
    own = str(uuid.uuid4())
    headers = {
        "task": mails.TASK, "id": own, "lang": "py", "tenant_id": system.people.acme.id,
        "argsrepr": "()", "kwargsrepr": repr(mail),
    }  # fmt: skip
    system.queues.publish(
        f"notifications.{mails.TASK}", json.dumps([[], mail, {}]), headers=headers
    )
    return own


def plant_invitation(server: MailServer, planted: Planted) -> None:
    """Take the token of an invitation from its mail: it is told nowhere else."""
    [mail] = [mail for mail in server.mails() if mail.recipients == ["invited@there.example"]]
    found = re.search(r"inv_[\w-]{43}", mail.body("plain"))
    assert found, mail.body("plain")
    planted.plant("invitation", found[0], "mail to invited@")


def plant_mail_that_is(
    client: Client, planted: Planted, server: MailServer, how: str, behaviour: Behaviour
) -> None:
    """Send a mail that meets a server's refusal, and wait for its end."""
    to = how.replace(" ", "-")
    html = HTML.format(plant_link(planted, to))
    server.wait_for(lambda: not server.waiting(), seconds=60, what="the last one was met")
    server.next(behaviour)
    accepted = notifying.request_mail(client, f"{to}@there.example", subject=DECOY, html=html)
    status = "failed" if how == "rejected" else "sent"
    notifying.wait_for_mail(client, accepted["notification_id"], status)
