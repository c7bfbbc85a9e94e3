"""The routes of the pages for people."""

from django.urls import path

from project.accounts import export_views, views
from project.accounts.invitation_views import AcceptInvitation

app_name = "accounts"

urlpatterns = [
    path("", views.show_home, name="home"),
    path("sign-in", views.SignIn.as_view(), name="sign-in"),
    path("sign-out", views.SignOut.as_view(), name="sign-out"),
    path("switch-tenant", views.switch_tenant, name="switch-tenant"),
    path("mail-preferences", views.save_mail_preferences, name="mail-preferences"),
    path("exports/<uuid:export_id>/", export_views.show_export, name="export"),
    path("exports/<uuid:export_id>/download", export_views.download_export, name="download-export"),
    path("invitations/accept", AcceptInvitation.as_view(), name="accept-invitation"),
]
