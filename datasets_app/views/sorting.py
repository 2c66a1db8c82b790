"""How records are sorted into topics: the settings, how sure the last run was, and the next run."""

from __future__ import annotations

from django.contrib import messages
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from datasets_app import access, actions, consent, embedding, panels, services
from datasets_app.strip import dataset_steps
from rft_project.web.http import Request


@require_http_methods(["GET", "POST"])
def sorting(request: Request, pk: int):
    """POST saves the settings and sorts again."""
    dataset = access.dataset(request.user, pk)
    form = panels.sort_form(dataset, request.POST if request.method == "POST" else None)
    if form.is_valid():
        services.configure_sorting(dataset, form.settings())
        if dataset.topics.topics:
            actions.start(dataset, actions.CATEGORIZE, {}, by=request.user)
        return redirect("datasets:sorting", pk)
    context = {
        "dataset": dataset,
        "panel": panels.sorting_panel(dataset, form),
        "work": panels.topic_work_panel(dataset),
        "steps": dataset_steps(dataset, here="C"),
    }
    return render(request, "datasets_app/sorting.html", context, status=422 if form.errors else 200)


@require_POST
def set_embedding_consent(request: Request, pk: int):
    """The embedding model may see what the person was just told of; the records are sorted with it."""
    dataset = access.dataset(request.user, pk)
    try:
        connection = embedding.connection_of(dataset)
        question = consent.about_embeddings(dataset, connection) if connection is not None else None
        consent.ask_first(question, agreed=request.POST.get("agreed", ""), by=request.user)
    except LookupError as gone:
        messages.error(request, str(gone))
    except consent.Unasked as unasked:
        messages.error(request, f"The findings changed meanwhile. {unasked}")
    else:
        actions.start(dataset, actions.CATEGORIZE, {}, by=request.user)
    return redirect("datasets:sorting", pk)
