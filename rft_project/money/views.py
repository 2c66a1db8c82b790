from __future__ import annotations

import csv
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from rft_project.connections import access
from rft_project.connections.models import AuditEntry, Workspace

from . import expenses, prices
from .forms import CapForm, PriceForm
from .panels import expense_rows, price_panel, spending_panels


@require_GET
def spending(request: HttpRequest) -> HttpResponse:
    access.home_workspace(request.user)  # type: ignore[arg-type]
    return render(request, "money/spending.html", {"panels": spending_panels(request.user)})


@require_GET
def expense_list(request: HttpRequest, workspace: int) -> StreamingHttpResponse:
    found = _of(request.user, workspace)
    AuditEntry.write("download expenses", found, workspace=found, actor=request.user)  # type: ignore[arg-type]
    writer = csv.writer(_Echo())
    answer = StreamingHttpResponse((writer.writerow(row) for row in expense_rows(found)), content_type="text/csv")
    answer["Content-Disposition"] = 'attachment; filename="expenses.csv"'
    return answer


@require_http_methods(["GET", "POST"])
def price_list(request: HttpRequest, workspace: int) -> HttpResponse:
    found = _of(request.user, workspace)
    form = None
    if request.method == "POST":
        access.require_owner(request.user, found)
        form = PriceForm(request.POST)
        if form.is_valid():
            given = form.cleaned_data
            prices.enter(found, given["kind"], given["model"].strip(), form.values(), by=request.user)
            messages.success(request, f"The price of {given['model']} is kept.")
            return redirect("money:price_list", workspace)
    context = {"panel": price_panel(request.user, found, form)}
    return render(request, "money/price_list.html", context, status=422 if form is not None else 200)


@require_POST
def set_cap(request: HttpRequest, workspace: int) -> HttpResponse:
    found = access.owned_workspace(request.user, workspace)
    form = CapForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        expenses.set_cap(found, "", usd=given["usd"], tokens=given["tokens"], by=request.user)
    else:
        messages.error(request, "Enter an amount above 0, or leave the field empty for no limit.")
    return redirect("money:spending")


def _of(user: Any, pk: int) -> Workspace:
    return get_object_or_404(Workspace.objects.of(user), pk=pk)


class _Echo:
    """Gives each line back instead of keeping it, so that a long list needs no memory."""

    def write(self, line: str) -> str:
        return line
