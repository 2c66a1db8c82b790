from __future__ import annotations

from django.contrib import admin

from rft_project.connections.admin import ReadOnly

from .models import Cap, Expense, Price


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):
    """Operators enter prices for the whole server here: without a workspace."""

    list_display = ["kind", "model", "workspace", "input", "output", "training_hour", "hosting_hour", "entered_at"]
    list_filter = ["kind"]
    exclude = ["entered_by"]

    def save_model(self, request, obj, form, change):
        obj.entered_by = request.user
        super().save_model(request, obj, form, change)


@admin.register(Expense)
class ExpenseAdmin(ReadOnly):
    list_display = ["at", "subject", "purpose", "where", "model", "tokens_in", "tokens_out", "usd", "settled"]
    list_filter = ["purpose"]


@admin.register(Cap)
class CapAdmin(ReadOnly):
    list_display = ["workspace", "about", "usd", "tokens"]
