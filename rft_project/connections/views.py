from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from rft_project.connections import access, services
from rft_project.connections.forms import FORMS
from rft_project.connections.models import SECRET_FIELDS
from rft_project.connections.panels import connections_panel, label_of, offer


class Request(HttpRequest):
    """A request of somebody who is signed in."""

    user: User


@require_GET
def connections(request: Request) -> HttpResponse:
    services.local_connection(access.home_workspace(request.user))
    return render(request, "connections/connections.html", {"panel": connections_panel(request.user)})


@sensitive_post_parameters(*SECRET_FIELDS)
@never_cache
@require_http_methods(["GET", "POST"])
def new_connection(request: Request, kind: str) -> HttpResponse:
    workspaces = access.owned_workspaces(request.user)
    if kind not in FORMS or not workspaces:
        raise Http404
    described = offer(kind)
    form = FORMS[kind](request.POST or None, workspaces=workspaces, initial={"name": described.label})
    context: dict[str, Any] = {"form": form, "offer": described}
    if request.method == "POST" and form.is_valid():
        workspace = form.cleaned_data.get("workspace", workspaces[0])
        try:
            made = services.add(workspace, kind, form.cleaned_data["name"], form.credentials(), by=request.user)
        except services.Refused as refused:
            form.add_error(refused.field, str(refused))
            context["remedy"] = refused.remedy
        else:
            messages.success(request, f"{made.name} answered and is saved.")
            return redirect("connections:connections")
    return render(request, "connections/new_connection.html", context, status=422 if form.errors else 200)


@sensitive_post_parameters(*SECRET_FIELDS)
@never_cache
@require_http_methods(["GET", "POST"])
def credentials(request: Request, pk: UUID) -> HttpResponse:
    connection = access.owned_connection(request.user, pk)
    if services.is_own_engine(connection) or connection.kind not in FORMS:
        raise Http404
    form = FORMS[connection.kind](request.POST or None, connection=connection)
    context: dict[str, Any] = {"form": form, "connection": connection, "platform": label_of(connection.kind)}
    if request.method == "POST" and form.is_valid():
        try:
            services.replace_credentials(connection, form.credentials(), by=request.user)
        except services.Refused as refused:
            form.add_error(refused.field, str(refused))
            context["remedy"] = refused.remedy
        else:
            messages.success(request, f"{connection.name} answered; the new credentials are saved.")
            return redirect("connections:connections")
    if connection.kind == "openai":
        context["hook"] = request.build_absolute_uri(reverse("openai_hook", args=[pk]))
    return render(request, "connections/credentials.html", context, status=422 if form.errors else 200)


@require_POST
def check(request: Request, pk: UUID) -> HttpResponse:
    connection = access.connection(request.user, pk)
    sentence = services.check(connection, by=request.user)
    if sentence:
        messages.error(request, f"{connection.name}: {sentence}")
    else:
        messages.success(request, f"{connection.name} works.")
    return redirect("connections:connections")


@require_POST
def delete(request: Request, pk: UUID) -> HttpResponse:
    connection = access.owned_connection(request.user, pk)
    try:
        services.delete(connection, by=request.user)
        messages.success(request, f"{connection.name} is deleted.")
    except services.Refused as refused:
        messages.error(request, str(refused))
    return redirect("connections:connections")


@require_POST
def set_role(request: Request, workspace: int, role: str) -> HttpResponse:
    mine = access.owned_workspace(request.user, workspace)
    if role not in services.ROLES:
        raise Http404
    connection = access.connection_of(mine, request.POST.get("connection", ""))
    try:
        services.set_role(connection, role, request.POST.get("model", ""), by=request.user)
        model = getattr(connection, f"{role}_model")
        word = f"{model} is the {role} model from now on" if model else f"has no {role} model now"
        messages.success(request, f"{connection.name}: {word}.")
    except services.Refused as refused:
        messages.error(request, f"{connection.name}: {refused}")
    return redirect(f"{reverse('connections:connections')}#duties-{mine.pk}")


@require_POST
def permit(request: Request, workspace: int, work: str) -> HttpResponse:
    mine = access.owned_workspace(request.user, workspace)
    if work not in services.PERMISSIONS:
        raise Http404
    # Only those that stood on the page: another one may have been added since.
    shown = [access.connection_of(mine, pk) for pk in request.POST.getlist("shown")]
    services.permit(shown, work, request.POST.getlist("allowed"), by=request.user)
    messages.success(request, "Saved: it holds for everything that is started from now on.")
    return redirect(f"{reverse('connections:connections')}#duties-{mine.pk}")
