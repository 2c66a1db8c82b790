from __future__ import annotations

from django.urls import path

from .views import pages

app_name = "graders"

urlpatterns = [
    path("", pages.graders, name="graders"),
    path("<int:pk>/", pages.grader, name="grader"),
]
