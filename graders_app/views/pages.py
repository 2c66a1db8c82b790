from __future__ import annotations

from django.shortcuts import render
from django.views.decorators.http import require_GET

from graders_app import access
from graders_app.models import Grader
from rft_project.web.http import Request


@require_GET
def graders(request: Request):
    found = Grader.objects.of(request.user).latest_versions()
    return render(request, "graders_app/graders.html", {"graders": found})


@require_GET
def grader(request: Request, pk: int):
    grader = access.grader(request.user, pk)
    return render(request, "graders_app/grader.html", {"grader": grader})
