"""A plain Celery task that dies in a lane is a dead letter at once, and never becomes a job."""

import pytest

from jobs.dead_letters.record import record
from jobs.models import DeadLetter, Job
from tests.dead import dead_message

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("own_id", ["8c1f4c5e-3b0a-4f6e-9d2b-6f0c1a7e5d34", "order-17"])
def test_is_stored_once_and_not_adopted(own_id):
    # Given a task that this worker knows, and that is no job type
    headers = {"lang": "py", "task": "celery.backend_cleanup", "id": own_id}
    message = dead_message("[[], {}, {}]", headers)

    # When it was rejected in a lane, then nobody runs it again
    record(message)
    [letter] = DeadLetter.objects.all()
    assert letter.error_type == "PlainTaskFailed"
    assert "celery.backend_cleanup" in letter.error
    assert not Job.objects.filter(type="celery.backend_cleanup").exists()
