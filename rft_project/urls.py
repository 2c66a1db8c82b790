"""Composition of the site. Includes only; each app owns its paths."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

from rft_project.web import views
from wizard_app.views import hooks

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="datasets:datasets"), name="home"),
    path("datasets/", include("datasets_app.urls")),
    path("graders/", include("graders_app.urls")),
    path("runs/", include("wizard_app.urls")),
    path("connections/", include("rft_project.connections.urls")),
    path("spending/", include("rft_project.money.urls")),
    path("hooks/openai/<uuid:pk>/", hooks.openai, name="openai_hook"),
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-in/<str:token>/", views.sign_in_by_link, name="sign_in_by_link"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
    path("account/", views.account, name="account"),
    path("help/", views.help_page, name="help"),
    path("style/", views.style, name="style"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("admin/", admin.site.urls),
]
