"""What an invitation can be, as people read it; told from its moments, not stored."""

from django.db import models


class InvitationStatus(models.TextChoices):
    PENDING = "pending", "Pending"
    ACCEPTED = "accepted", "Accepted"
    REVOKED = "revoked", "Revoked"
    EXPIRED = "expired", "Expired"  #: Nobody accepted it in time; it can be sent again.
