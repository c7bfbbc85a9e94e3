"""Django's database sessions, with user and active tenant as columns (the SESSION_ENGINE)."""

from typing import Any

from django.contrib.auth import SESSION_KEY as USER_KEY
from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession

#: Where the session's data names the tenant that the person works for.
TENANT_KEY = "active_tenant_id"


class SessionStore(db.SessionStore):
    """
    Keeps a session in `accounts.Session`.

    For the tenant the column is the truth: when a tenant is deleted the database empties it,
    so a session never writes a foreign key to a row that is gone.
    """

    @classmethod
    def get_model_class(cls) -> type[AbstractBaseSession]:
        from project.accounts.models import Session

        return Session

    def load(self) -> dict[str, Any]:
        return self._data_of(self._get_session_from_db())  # type: ignore[attr-defined]

    async def aload(self) -> dict[str, Any]:
        return self._data_of(await self._aget_session_from_db())  # type: ignore[attr-defined]

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        return with_owner(super().create_model_instance(data), data)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Any:
        return with_owner(await super().acreate_model_instance(data), data)

    def _data_of(self, row: Any) -> dict[str, Any]:
        if row is None:
            return {}
        data = self.decode(row.session_data)
        data.pop(TENANT_KEY, None)
        if row.active_tenant_id:
            data[TENANT_KEY] = str(row.active_tenant_id)
        return data


def with_owner(row: Any, data: dict[str, Any]) -> Any:
    row.user_id = data.get(USER_KEY)
    row.active_tenant_id = data.get(TENANT_KEY)
    return row
