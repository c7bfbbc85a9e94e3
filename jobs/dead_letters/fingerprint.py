"""What makes two dead letters one incident: the type, the error's class, the place in the code."""

import hashlib

from jobs.models import Incident
from jobs.states import AlertKind


def incident_of(*, job_type: str, error_type: str, place: str) -> Incident:
    """
    Return the incident of dead letters of this cause; the first one opens it.

    Losing the race to insert it means that another worker has stored the same cause.
    """
    cause = {"type": job_type, "error_type": error_type, "place": place}
    kind = AlertKind.DEAD_LETTER
    mark = hashlib.sha256("\n".join((kind, *cause.values())).encode()).hexdigest()
    known = Incident.objects.filter(fingerprint=mark)
    found = known.first()
    if found is None:
        row = Incident(fingerprint=mark, kind=kind, **cause)
        Incident.objects.bulk_create([row], ignore_conflicts=True)
        found = known.get()
    return found
