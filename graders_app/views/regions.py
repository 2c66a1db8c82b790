from __future__ import annotations

from django.shortcuts import render
from django.views.decorators.http import require_POST

from graders_app.dimensions import Dimensions
from rft_project.web.http import Request


@require_POST
def dimensions(request: Request):
    """The rows of the form as they were sent, one more, one fewer or with other settings; nothing is stored."""
    return render(request, "graders_app/_dimensions.html", {"dimensions": Dimensions.typed(request.POST)})
