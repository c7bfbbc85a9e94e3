"""Which lane each job type of exports and notifications waits in."""

import pytest

from jobs import registry

#: Nobody waits for these: they may wait behind anything, in the lane of what says nothing.
CHORES = {
    "exports.delete_expired_files",
    "notifications.delete_expired",
    "notifications.resend_deliveries",
}


@pytest.mark.parametrize("app", ["exports", "notifications"])
def test_every_type_has_the_lane_of_its_app(app):
    types = [each for each in registry.all_types() if each.name.startswith(f"{app}.")]
    assert types
    astray = {each.name: each.queue for each in types if each.queue != app}
    assert astray.keys() == CHORES & {each.name for each in types}, astray
