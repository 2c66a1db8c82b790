from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django import forms
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile

from rft_project.web.forms import StudioForm


class Plan(StudioForm):
    share = forms.DecimalField(label="Training share", help_text="Most take 90 %.", min_value=1)
    when = forms.DateField(required=False)
    kinds = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.CheckboxSelectMultiple)
    order = forms.ChoiceField(choices=[("r", "By chance"), ("t", "By time")], widget=forms.RadioSelect)
    keep = forms.BooleanField(label="Keep topics", required=False, help_text="Same mix.")
    secret = forms.CharField(widget=forms.HiddenInput, required=False)
    file = forms.FileField(required=False)


GOOD = {"share": "90", "when": "2026-05-20", "kinds": ["b", "a"], "order": "t", "keep": "on"}


def test_to_params_is_plain_json():
    form = Plan(GOOD, {"file": SimpleUploadedFile("x.jsonl", b"{}")})
    assert form.is_valid()
    assert form.to_params("secret") == {
        "share": 90,
        "when": "2026-05-20",
        "kinds": ["b", "a"],
        "order": "t",
        "keep": True,
    }


def test_to_params_of_fractions_models_and_sets(db):
    class Odd(StudioForm):
        x = forms.DecimalField()
        group = forms.ModelChoiceField(Group.objects.all())
        groups = forms.ModelMultipleChoiceField(Group.objects.all())

        def clean_x(self) -> dict[str, object]:
            return {"a": self.cleaned_data["x"], "b": {3, 1}, "c": date(2026, 1, 2)}

    one, two = Group.objects.create(name="one"), Group.objects.create(name="two")
    form = Odd({"x": "1.5", "group": one.pk, "groups": [two.pk, one.pk]})
    assert form.is_valid()
    assert form.to_params() == {
        "x": {"a": 1.5, "b": [1, 3], "c": "2026-01-02"},
        "group": one.pk,
        "groups": [one.pk, two.pk],
    }
    assert isinstance(form.cleaned_data["x"]["a"], Decimal)


def test_a_field_is_label_hint_control_error_in_that_order():
    html = str(Plan({**GOOD, "share": "0"})["share"].as_field_group())
    parts = [
        '<label for="id_share">Training share</label>',
        'id="id_share_helptext">Most take 90 %.',
        '<input type="number"',
        'id="id_share_error">',
    ]
    places = [html.index(part) for part in parts]
    assert places == sorted(places)
    assert 'class="input"' in html
    assert 'aria-invalid="true"' in html
    assert 'aria-describedby="id_share_helptext id_share_error"' in html


@pytest.mark.parametrize(("name", "expected"), [("kinds", 2), ("order", 2)])
def test_choices_are_a_fieldset_with_a_legend(name, expected):
    html = str(Plan()[name].as_field_group())
    assert html.startswith('<fieldset class="field">')
    assert html.count('<label for="id_') == expected
    assert 'class="input"' not in html


def test_a_tick_has_its_words_beside_it():
    html = str(Plan()["keep"].as_field_group())
    assert '<label class="tick" for="id_keep"><input type="checkbox"' in html
    assert "<span>Keep topics</span></label>" in html


def test_hidden_fields_are_drawn_once_and_files_are_not_boxed():
    html = str(Plan())
    assert html.count('name="secret"') == 1
    assert 'type="file" name="file" id="id_file"' in html


def test_errors_of_the_whole_form_come_first_and_are_escaped():
    form = Plan(GOOD)
    form.add_error(None, "<b>Too much</b>")
    html = str(form)
    assert html.lstrip().startswith('<div class="box bad" role="alert">')
    assert "&lt;b&gt;Too much&lt;/b&gt;" in html
