from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from exports.errors import BadStorageUrl
from exports.object_store import store_from_url


class ExportsConfig(AppConfig):
    name = "exports"

    def ready(self) -> None:
        autodiscover_modules("datasets")
        try:
            store_from_url(settings.EXPORTS_STORAGE_URL)
        except BadStorageUrl as error:
            raise SystemExit(str(error)) from None  # One line, as for every other setting.
