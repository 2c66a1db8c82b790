from __future__ import annotations

from django.contrib import admin

from .models import AuditEntry, Connection, Membership, Workspace


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0


@admin.register(Workspace)
class WorkspaceAdmin(admin.ModelAdmin):
    list_display = ["name", "created_at"]
    inlines = [MembershipInline]


class ReadOnly(admin.ModelAdmin):
    """For looking, not for changing."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(Connection)
class ConnectionAdmin(ReadOnly):
    list_display = ["name", "kind", "workspace", "checked_at", "last_error"]
    exclude = ["sealed"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ["at", "action", "subject", "actor", "workspace"]
    list_filter = ["action"]
