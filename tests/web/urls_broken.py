"""The product's addresses and one that fails, to see the error page."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.urls import path

from rft_project.urls import urlpatterns as real


def fail(request: HttpRequest, how: str) -> HttpResponse:
    raise {"error": ValueError("secret-detail"), "denied": PermissionDenied(), "odd": SuspiciousOperation()}[how]


urlpatterns = [*real, path("fail/<str:how>/", fail)]
