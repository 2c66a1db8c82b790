from __future__ import annotations

from django.urls import path

from . import views

app_name = "connections"

urlpatterns = [
    path("", views.connections, name="connections"),
    path("new/<str:kind>/", views.new_connection, name="new_connection"),
    path("<uuid:pk>/credentials/", views.credentials, name="credentials"),
    # commands: POST only
    path("<uuid:pk>/check/", views.check, name="check"),
    path("workspaces/<int:workspace>/roles/<slug:role>/", views.set_role, name="set_role"),
    path("workspaces/<int:workspace>/may/<slug:work>/", views.permit, name="permit"),
    path("<uuid:pk>/delete/", views.delete, name="delete"),
]
