"""What the tour shows of that which leaves the house: a mail and a signed webhook."""

import email
import email.policy
import time
from email.message import EmailMessage

from project.demo.listener import listener
from project.demo.person import Person, Refused
from project.demo.product import Product
from project.demo.screen import Screen

SECONDS = 120  #: A safety net; a mail takes a tenth of a second, the webhook one retry.
LOOK_EVERY_SECONDS = 0.05


def be_told(screen: Screen, product: Product, person: Person) -> None:
    """
    Show how an export is announced, by a webhook that is refused once and by mail.

    :raises Refused: if nobody is told.
    """
    screen.chapter("Told when it is ready: a signed webhook, and a mail")
    with listener() as outside:
        with screen.step("subscribed:") as words:
            body = {"url": outside.url, "event_types": ["export.completed"]}
            answer = person.post("/api/v1/webhook-endpoints", body)
            if answer.status != 201:
                raise Refused(f"The endpoint was refused: {answer.json()}")
            outside.secret = answer.json()["secret"]
            words.append("an outside system, which refuses what comes first with 503")
        person.post("/api/v1/exports", {"dataset": "items", "format": "csv"})
        with screen.step("delivered:") as words:
            event = outside.wait_for_refused(seconds=SECONDS)
            if event is None:
                raise Refused("The product promised otherwise: no webhook came twice.")
            words.append(f"{event['type']}, signature valid, the same id both times")
    with screen.step("mailed:") as words:
        mail = wait_for_mail(product, subject="An export is ready to be downloaded")
        words.append(f"{mail['Subject']!r} to {mail['To']}, {mail['Message-ID']}")


def wait_for_mail(product: Product, *, subject: str) -> EmailMessage:
    """
    Return a mail that the product has written, by the beginning of its subject.

    :raises Refused: if there is none in time.
    """
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for path in sorted((product.directory / "mail").glob("*")):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if str(mail["Subject"]).startswith(subject):
                return mail
        time.sleep(LOOK_EVERY_SECONDS)
    raise Refused(f"The product promised otherwise: no mail {subject!r} was written.")
