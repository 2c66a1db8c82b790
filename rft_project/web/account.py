"""Forms of signing in and of one's own account."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User

from rft_project.web.forms import StudioMixin, StudioModelForm


class SignInForm(StudioMixin, AuthenticationForm):
    error_messages = {
        "invalid_login": "User name and password do not match. Both are case-sensitive.",
        "inactive": "This account is switched off.",
    }


class NameForm(StudioModelForm):
    class Meta:
        model = get_user_model()
        fields = ["first_name", "last_name"]

    first_name = forms.CharField(label="First name", max_length=150, required=False)
    last_name = forms.CharField(label="Last name", max_length=150, required=False)


class NewPassword(StudioMixin, SetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _plain(self)


class ChangedPassword(StudioMixin, PasswordChangeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)  # the page has another form above it
        _plain(self)


def _plain(form: forms.Form) -> None:
    form.fields["new_password1"].help_text = "At least 12 characters, not a common one, not your name."
    form.fields["new_password2"].help_text = ""
    form.fields["new_password2"].label = "The same again"


def password_form(user: User, data: Any) -> NewPassword | ChangedPassword:
    """Asks for the old password where there is one; who came by a link has none yet."""
    return ChangedPassword(user, data) if user.has_usable_password() else NewPassword(user, data)
