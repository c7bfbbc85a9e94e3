from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from exports.errors import BadStorageUrl
from exports.object_store import store_from_url


class ExportsConfig(AppConfig):
    name = "exports"

    def ready(self) -> None:
        autodiscover_modules("datasets")
        # A module level import would need the models before they are loaded.
        from exports.doctor import storage_works
        from jobs.doctor import register

        register("storage", storage_works)
        try:
            store_from_url(settings.EXPORTS_STORAGE_URL)
        except BadStorageUrl as error:
            raise SystemExit(str(error)) from None  # One line, as for every other setting.
