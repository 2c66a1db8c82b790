"""Pages that belong to no app: sign-in, account, help, components, and the two addresses machines ask."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from rft_project.jobs.health import worker_alive
from rft_project.web import showcase, signin
from rft_project.web.account import NameForm, SignInForm, password_form
from rft_project.web.glossary import GLOSSARY
from rft_project.web.http import Request

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@method_decorator(login_not_required, name="dispatch")
class SignIn(LoginView):
    template_name = "web/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(first_run=not get_user_model().objects.exists(), **kwargs)


@login_not_required
@never_cache
@require_GET
def sign_in_by_link(request: HttpRequest, token: str) -> HttpResponse:
    user = signin.redeem(token)
    if user is None:
        return render(request, "web/link_used.html", status=403)
    login(request, user, backend=MODEL_BACKEND)
    return redirect("/")


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "POST"])
def account(request: Request) -> HttpResponse:
    changing = "change_password" in request.POST
    posted = request.POST or None
    name = NameForm(None if changing else posted, instance=request.user)
    password = password_form(request.user, posted if changing else None)
    form = password if changing else name
    if request.method == "POST" and form.is_valid():
        form.save()
        if changing:
            update_session_auth_hash(request, request.user)  # this session stays, all others end
        messages.success(request, "The password was changed." if changing else "Your name was saved.")
        return redirect("account")
    status = 422 if form.is_bound else 200
    return render(request, "web/account.html", {"name": name, "password": password}, status=status)


@require_GET
def help_page(request: Request) -> HttpResponse:
    return render(request, "web/help.html", {"glossary": GLOSSARY})


@require_GET
def style(request: Request) -> HttpResponse:
    if not request.user.is_staff:
        raise Http404
    return render(request, "web/style.html", showcase.everything())


@login_not_required
@never_cache
@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readiness() -> dict[str, bool]:
    """What has to be there before people can work: the database, its tables, somebody who does the jobs."""
    found = {"database": False, "migrations": False, "worker": False}
    try:
        connection.ensure_connection()
        found["database"] = True
        executor = MigrationExecutor(connection)
        found["migrations"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        found["worker"] = found["migrations"] and worker_alive()
    except DatabaseError:
        pass  # what is False already says it
    return found


@login_not_required
@never_cache
@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    found = readiness()
    ready = all(found.values())
    return JsonResponse({"status": "ready" if ready else "not ready", **found}, status=200 if ready else 503)
