"""What forms of credentials share. What is typed into a key is never sent back to the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django import forms
from pydantic import ValidationError

from rft_project.platforms import adapter

from .models import ADDRESS_FIELDS, SECRET_FIELDS, Connection, Workspace
from .services import address_refusal, shown, with_kept

KEPT = "Leave it empty to keep the stored one; for another address it has to be entered again."
SIGN_IN = "sign_in"


class Group(NamedTuple):
    """Fields that belong together. ``folded``: closed until somebody needs it."""

    title: str
    sentence: str
    names: tuple[str, ...]
    folded: bool = False


@dataclass(frozen=True)
class Fieldset:
    """A group as the page shows it; a folded one is open where it holds something or something is wrong."""

    title: str
    sentence: str
    fields: list[forms.BoundField]
    folded: bool
    open: bool


class CredentialsForm(forms.Form):
    """With ``workspaces`` for adding a connection to one of them, with ``connection`` for changing its credentials."""

    kind: str
    #: Every field but those of ``ABOUT`` is in one of them.
    GROUPS: tuple[Group, ...]
    #: What the adapter's refusal of a field means in words, where the adapter itself says it in signs.
    SHAPES: dict[str, str] = {}
    #: Fields that belong to one way to sign in: the page shows those of the way that is chosen.
    WAYS: dict[str, tuple[str, ...]] = {}
    #: Fields of a way that can't do without them, so that none of them is called optional.
    NEEDED: tuple[str, ...] = ()
    #: Fields that are not credentials.
    ABOUT = ("workspace", "name", SIGN_IN)

    workspace = forms.ModelChoiceField(Workspace.objects.none(), label="Workspace", empty_label=None)
    name = forms.CharField(label="Name", max_length=120, help_text="So that you find it again.")

    def __init__(
        self, *args: Any, workspaces: Sequence[Workspace] = (), connection: Connection | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("label_suffix", "")
        if connection is not None:
            kwargs["initial"] = shown(connection)
        super().__init__(*args, **kwargs)
        self._connection = connection
        if workspaces:
            mine = Workspace.objects.filter(pk__in=[w.pk for w in workspaces]).order_by("pk")
            self.fields["workspace"].queryset = mine  # type: ignore[attr-defined]
        if len(workspaces) < 2:
            del self.fields["workspace"]
        if not workspaces:
            del self.fields["name"]
        for way, names in self.WAYS.items():
            for name in names:
                self.fields[name].widget.attrs["data-way"] = way
        for name in self.NEEDED:
            self.fields[name].initial = ""
        for name, field in self.fields.items():
            if not isinstance(field.widget, forms.RadioSelect):
                field.widget.attrs["class"] = "input"
            if connection is not None and name in SECRET_FIELDS:
                field.required = False
                field.help_text = KEPT

    @property
    def fieldsets(self) -> list[Fieldset]:
        about = [self[name] for name in ("workspace", "name") if name in self.fields]
        found = [Fieldset("", "", about, folded=False, open=True)] if about else []
        for title, sentence, names, folded in self.GROUPS:
            fields = [self[name] for name in names]
            used = any(field.errors or field.value() for field in fields)
            found.append(Fieldset(title, sentence, fields, folded, used))
        return found

    def clean(self) -> dict[str, Any]:
        """Judge addresses and keys, then let the adapter look at everything; what it refuses is said at its field."""
        for name in self.fields:
            value = self.cleaned_data.get(name)
            if value and name in ADDRESS_FIELDS and (sentence := address_refusal(value)):
                self.add_error(name, sentence)
            if value and name in SECRET_FIELDS and not (value.isascii() and value.isprintable() and " " not in value):
                self.add_error(name, "A key is one word of plain letters, digits and signs; copy it again.")
        if not self.errors:
            self.judge()
        if not self.errors:
            self._ask_adapter()
        return self.cleaned_data

    def judge(self) -> None:
        """What a kind asks for beside what its adapter does; adds errors."""

    def _ask_adapter(self) -> None:
        try:
            adapter(self.kind).credentials.model_validate(self.credentials())
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False, include_context=False):
                # What an adapter says of several fields together has the name of the one to look at as its type.
                place = str(problem["loc"][0]) if problem["loc"] else problem["type"]
                name = place if place in self.fields else None
                if name in SECRET_FIELDS and problem["type"] in ("missing", "string_too_short", "too_short"):
                    said = "Enter it: a stored key goes to no other address, region or account than its own."
                elif problem["type"] == "string_pattern_mismatch" and place in self.SHAPES:
                    said = self.SHAPES[place]
                else:
                    said = f"{problem['msg'].removeprefix('Value error, ').removeprefix(f'{place}: ')}."
                self.add_error(name, said[:1].upper() + said[1:])

    def credentials(self) -> dict[str, Any]:
        """What was filled in and, of the connection that is changed, the secrets left out; an empty field is left to
        the adapter's default."""
        given = {name: value for name, value in self.cleaned_data.items() if value and name not in self.ABOUT}
        return with_kept(self._connection, given) if self._connection is not None else given


def text(label: str, help_text: str = "", *, most: int = 300, required: bool = False) -> forms.CharField:
    attrs = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
    widget = forms.TextInput(attrs=attrs)
    return forms.CharField(label=label, max_length=most, required=required, help_text=help_text, widget=widget)


def key(label: str, help_text: str, *, required: bool = True) -> forms.CharField:
    attrs = {"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"}
    widget = forms.PasswordInput(render_value=False, attrs=attrs)
    return forms.CharField(label=label, max_length=4000, required=required, help_text=help_text, widget=widget)
