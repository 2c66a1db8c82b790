from __future__ import annotations

from django.urls import path

from .views import commands, pages, regions

app_name = "graders"

urlpatterns = [
    path("", pages.graders, name="graders"),
    path("new/", pages.new_grader, name="new_grader"),
    path("new/dimensions/", pages.build_dimensions, name="build_dimensions"),
    path("new/<slug:kind>/", pages.build_grader, name="build_grader"),
    path("<int:pk>/", pages.grader, name="grader"),
    path("<int:pk>/edit/", pages.edit_grader, name="edit_grader"),
    path("<int:pk>/export/", pages.export_grader, name="export_grader"),
    # live regions
    path("regions/dimensions/", regions.dimensions, name="dimensions"),
    path("<int:pk>/take/<slug:target>/", pages.take_grader, name="take_grader"),
    # commands: POST only
    path("<int:pk>/save/", commands.save_grader, name="save_grader"),
    path("<int:pk>/duplicate/", commands.duplicate_grader, name="duplicate_grader"),
    path("<int:pk>/try/", commands.try_grader, name="try_grader"),
]
