from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods

from graders_app import access, editing, forms, panels, services
from graders_app.core.compiling import TARGETS, compile_grader
from graders_app.core.errors import GraderError
from graders_app.dimensions import Dimensions
from graders_app.forms import NewGraderForm
from graders_app.kinds import KINDS, PRESET_KINDS, TYPE_KINDS, libraries
from graders_app.models import Grader
from rft_project.connections.access import home_workspace
from rft_project.web.http import Request


@require_GET
def graders(request: Request):
    found = Grader.objects.of(request.user).latest_versions()
    return render(request, "graders_app/graders.html", {"rows": panels.rows(found)})


@require_GET
def new_grader(request: Request):
    return render(request, "graders_app/new_grader.html", {"presets": PRESET_KINDS, "types": TYPE_KINDS})


@require_http_methods(["GET", "POST"])
def build_grader(request: Request, kind: str):
    if kind not in KINDS:
        raise Http404
    way = KINDS[kind]
    form = way.form(request.POST or None, request.FILES or None, initial={"name": way.title if way.preset else ""})
    if request.method == "POST" and form.is_valid():
        workspace, name = home_workspace(request.user), form.cleaned_data["name"]
        try:
            grader = services.create_grader(workspace, name, form.document(), preset=way.preset, by=request.user)
        except GraderError as error:
            form.add_error(error.field if error.field in form.fields else None, str(error))
        else:
            return redirect(grader)
    context = {"form": form, "kind": way, "libraries": libraries()}
    return render(request, "graders_app/build_grader.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
def build_dimensions(request: Request):
    saving = request.method == "POST" and "do" not in request.POST
    form = NewGraderForm(request.POST if saving else None, initial={"name": request.POST.get("name", "")})
    dimensions = Dimensions.typed(request.POST, bound=saving) if request.method == "POST" else Dimensions.fresh()
    if saving and all([form.is_valid(), dimensions.is_valid()]):
        workspace, name = home_workspace(request.user), form.cleaned_data["name"]
        try:
            return redirect(services.create_grader(workspace, name, dimensions.document(name), by=request.user))
        except GraderError as error:
            form.add_error("name" if error.field == "name" else None, str(error))
    context = {"form": form, "dimensions": dimensions}
    return render(request, "graders_app/build_dimensions.html", context, status=422 if saving else 200)


@require_GET
def grader(request: Request, pk: int):
    panel = panels.grader_panel(access.grader(request.user, pk))
    return render(request, "graders_app/grader.html", {"panel": panel})


@require_http_methods(["GET", "POST"])
def edit_grader(request: Request, pk: int):
    grader = access.grader(request.user, pk)
    edit = editing.open_edit(grader, request.POST if request.method == "POST" else None)
    if edit is None:
        messages.info(request, "This grader was written by hand; change its document.")
        return redirect(grader)
    if edit.is_valid():
        try:
            return redirect(edit.save(by=request.user))
        except GraderError as error:
            edit.refuse(error)
    context = {"grader": grader, "edit": edit}
    return render(request, "graders_app/edit_grader.html", context, status=422 if edit.saving else 200)


@require_GET
def export_grader(request: Request, pk: int):
    """The document as a file: what a platform takes, and what the form for JSON reads."""
    grader = access.grader(request.user, pk)
    name = f"{slugify(grader.name) or 'grader'}-v{grader.version}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return JsonResponse(grader.config, json_dumps_params={"ensure_ascii": False, "indent": 2}, headers=headers)


@require_GET
def take_grader(request: Request, pk: int, target: str):
    """The grader as a file for ``target``; what keeps it from becoming one is said on its page."""
    grader = access.grader(request.user, pk)
    if target not in TARGETS:
        raise Http404
    kind, form = TARGETS[target], forms.TakeForm(request.GET)
    model = form.cleaned_data["judge_model"] if form.is_valid() else ""
    try:
        data = compile_grader(grader.config, target, judge_model=model)
    except GraderError as error:
        messages.error(request, f"{kind.title} was not made: {error}")
        return redirect(grader)
    name = f"{slugify(grader.name) or 'grader'}-v{grader.version}.{kind.suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(data, content_type=kind.media_type, headers=headers)
