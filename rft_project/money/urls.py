from __future__ import annotations

from django.urls import path

from . import views

app_name = "money"

urlpatterns = [
    path("", views.spending, name="spending"),
    path("<int:workspace>/expenses.csv", views.expense_list, name="expense_list"),
    path("<int:workspace>/prices/", views.price_list, name="price_list"),
    # commands: POST only
    path("<int:workspace>/do/cap/", views.set_cap, name="set_cap"),
]
