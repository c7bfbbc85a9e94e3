"""The admin's pages for exports."""

from exports.admin.exports import ExportAdmin

__all__ = ["ExportAdmin"]
