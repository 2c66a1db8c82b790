"""The tree of topics: the page, one topic beside it, edits, and where another tree comes from."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from datasets_app import access, actions, panels, services, topic_commands, topic_splitting
from datasets_app.core.topics import UNKNOWN
from datasets_app.facts import dataset_facts
from datasets_app.models import Dataset
from datasets_app.strip import dataset_steps
from datasets_app.topic_forms import AcceptForm, EditTopicForm, ReplaceForm, SplitForm, TopicsForm
from rft_project.web.http import Request
from rft_project.web.regions import region

UNREADABLE = "This edit of the topics cannot be read; try again from this page."


def page(
    request: Request,
    dataset: Dataset,
    name: str = "",
    form: EditTopicForm | None = None,
    error: str = "",
    said: str = "",
):
    """The tree with one topic beside it; with ``error`` the edit that was refused stays in its fields.

    Within the page (htmx) it is the region that changes, with ``said`` as a toast.
    """
    facts, status = dataset_facts(dataset), 422 if error else 200
    typed = {key: form[key].value() or "" for key in ("new_name", "description", "keywords")} if form else None
    panel = panels.topics_panel(dataset, name, facts, error=error, values=typed)
    context = {"dataset": dataset, "panel": panel}
    if request.htmx:
        return region(request, "datasets_app/_topics.html", context, toast=said, status=status)
    context["steps"] = dataset_steps(dataset, here="B", facts=facts)
    return render(request, "datasets_app/topics.html", context, status=status)


@require_GET
def topics(request: Request, pk: int):
    return page(request, access.dataset(request.user, pk))


@require_GET
def topic(request: Request, pk: int, name: str):
    """One topic: within the page for htmx, with the whole page otherwise."""
    dataset = access.dataset(request.user, pk)
    if name != UNKNOWN and name not in dataset.topics.topics:
        raise Http404
    if request.htmx:
        panel = panels.topic_panel(dataset, name)
        return region(request, "datasets_app/_topic.html", {"panel": panel, "dataset": dataset})
    return page(request, dataset, name)


@require_POST
def edit_topics(request: Request, pk: int):
    """One edit; the answer for htmx is the region with tree and topic, otherwise it is back to the topic's page."""
    dataset = access.dataset(request.user, pk)
    form = EditTopicForm(request.POST)
    error, done = UNREADABLE, None
    if form.is_valid():
        try:
            done = topic_commands.apply(dataset, form, by=request.user)
        except services.Refused as refused:
            error = str(refused)
            dataset.refresh_from_db()
    name = done.topic if done else request.POST.get("name", "")
    known = name in dataset.topics.topics
    where = reverse("datasets:topic", args=[pk, name]) if known else reverse("datasets:topics", args=[pk])
    if done is None:
        return page(request, dataset, name, form if request.POST.get("edit") == "change" else None, error)
    if request.htmx:
        answer = page(request, dataset, name, said=done.sentence)
        answer["HX-Replace-Url"] = where
        return answer
    messages.success(request, done.sentence)
    return redirect(where)


@require_POST
def run_split(request: Request, pk: int):
    """Look for topics inside a topic, or among records that fit none; what is found is proposed beside it."""
    dataset = access.dataset(request.user, pk)
    form = SplitForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Choose a topic, and a number of parts from 2 to 8.")
        return redirect("datasets:topics", pk)
    try:
        topic_splitting.propose(dataset, form.cleaned_data["inside"], form.cleaned_data["parts"], by=request.user)
    except services.Refused as refused:
        messages.error(request, str(refused))
        return redirect("datasets:topics", pk)
    return redirect("datasets:topic", pk, form.cleaned_data["inside"])


@require_POST
def accept_topics(request: Request, pk: int):
    """Take the proposals that are ticked, under the names that are typed, or forget all of them."""
    dataset = access.dataset(request.user, pk)
    form = AcceptForm(request.POST)
    if not form.is_valid():
        return page(request, dataset, error=UNREADABLE)
    inside, seen = form.cleaned_data["inside"], form.cleaned_data["seen"]
    try:
        if form.cleaned_data["forget"]:
            topic_splitting.forget(dataset, inside)
        else:
            sentence = topic_splitting.accept(dataset, inside, form.chosen(dataset), seen=seen, by=request.user)
            messages.success(request, sentence)
    except services.Refused as refused:
        dataset.refresh_from_db()
        return page(request, dataset, inside, error=str(refused))
    known = inside == UNKNOWN or inside in dataset.topics.topics
    return redirect("datasets:topic", pk, inside) if known else redirect("datasets:topics", pk)


@require_http_methods(["GET", "POST"])
def topic_sources(request: Request, pk: int):
    """Where topics can come from. GET with ``template`` and POST with a tree show what taking it would change."""
    dataset = access.dataset(request.user, pk)
    given = "template" in request.GET or request.method == "POST"
    form = ReplaceForm(request.POST or request.GET, request.FILES) if given else None
    panel = panels.sources_panel(dataset, form)
    context = {"dataset": dataset, "panel": panel, "steps": dataset_steps(dataset, here="B")}
    return render(request, "datasets_app/topic_sources.html", context, status=422 if panel.form.errors else 200)


@require_POST
def replace_topics(request: Request, pk: int):
    """Take a template, or a tree that was looked at before."""
    dataset = access.dataset(request.user, pk)
    form = ReplaceForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return redirect("datasets:topic_sources", pk)
    try:
        topic_commands.replace_as_seen(dataset, form.cleaned_data, request.POST.get("seen", ""), by=request.user)
        messages.success(request, "The topics were replaced; the records are being sorted into them.")
    except services.Refused as refused:
        messages.error(request, str(refused))
    return redirect("datasets:topics", pk)


@require_GET
def export_topics(request: Request, pk: int):
    dataset = access.dataset(request.user, pk)
    text = json.dumps(dataset.topics.to_json(), indent=2, ensure_ascii=False)
    headers = {"Content-Disposition": f'attachment; filename="topics-{pk}.json"'}
    return HttpResponse(text, content_type="application/json", headers=headers)


@require_POST
def run_topics(request: Request, pk: int):
    """Find topics in the records."""
    dataset = access.dataset(request.user, pk)
    form = TopicsForm(request.POST)
    if form.is_valid():
        actions.start(dataset, actions.TOPICS, {"clusters": form.cleaned_data["clusters"]}, by=request.user)
    else:
        messages.error(request, f"The number of topics: {' '.join(map(str, form.errors['clusters']))}")
    return redirect("datasets:topics", pk)
