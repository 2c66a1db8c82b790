from __future__ import annotations

from django.contrib import messages
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from graders_app import access, forms, panels, services
from graders_app.core.errors import GraderError
from graders_app.core.spec import parse_grader
from graders_app.judging import judge_of
from graders_app.trial import run_trial
from rft_project.web.http import Request


@require_POST
def save_grader(request: Request, pk: int):
    grader = access.grader(request.user, pk)
    by_source = "source" in request.POST and grader.config["type"] == "python"
    form = forms.SourceForm(request.POST) if by_source else forms.EditForm(request.POST)
    if form.is_valid():
        seen = form.cleaned_data["seen"]
        try:
            saved = services.next_version(grader, form.document(grader.config), seen=seen, by=request.user)
        except GraderError as error:
            form.add_error("source" if by_source else "config", str(error))
        else:
            changed = saved.version != seen
            kept = f"Version {saved.version} is saved; runs that chose an earlier one keep theirs."
            messages.success(
                request, kept if changed else "Nothing differs from the current version; nothing was saved."
            )
            return redirect(saved)
    panel = panels.grader_panel(grader, source=form) if by_source else panels.grader_panel(grader, edit=form)
    return render(request, "graders_app/grader.html", {"panel": panel}, status=422)


@require_POST
def duplicate_grader(request: Request, pk: int):
    grader = access.grader(request.user, pk)
    form = forms.DuplicateForm(request.POST)
    if form.is_valid():
        name = form.cleaned_data["name"]
        try:
            copy = services.create_grader(grader.workspace, name, grader.config, preset=grader.preset, by=request.user)
        except GraderError as error:
            form.add_error("name", str(error))
        else:
            messages.success(request, f"This is the copy of {grader.name}; a change here leaves that as it is.")
            return redirect(copy)
    panel = panels.grader_panel(grader, copy=form)
    return render(request, "graders_app/grader.html", {"panel": panel}, status=422)


@require_POST
def try_grader(request: Request, pk: int):
    grader = access.grader(request.user, pk)
    form = forms.TryForm(request.POST)
    trial = None
    if form.is_valid():
        values, judge = form.cleaned_data, judge_of(grader.workspace)
        trial = run_trial(parse_grader(grader.config), values["answer"], values["item"], judge=judge)
    template = "graders_app/_try_result.html" if request.htmx else "graders_app/grader.html"
    panel = panels.grader_panel(grader, try_form=form, trial=trial)
    return render(request, template, {"panel": panel}, status=422 if form.errors else 200)
