"""Forms of the pages of topics."""

from __future__ import annotations

from django import forms

from datasets_app.core import topics as trees
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import TopicError, TopicTree
from rft_project.web.forms import StudioForm

from .forms import words_in
from .models import Dataset, TopicProposal

MOST_CLUSTERS = 150
MAX_TREE = 2_000_000  # characters or bytes of a tree


class TopicsForm(StudioForm):
    """How many topics are looked for in the records."""

    clusters = forms.IntegerField(
        label="Number of topics",
        required=False,
        min_value=2,
        max_value=MOST_CLUSTERS,
        help_text="Empty: the data decide.",
    )


class EditTopicForm(StudioForm):
    """One edit of the tree. ``edit`` says which; the others are its operands, ``seen`` the tree it was made from."""

    edit = forms.ChoiceField(choices=[(e, e) for e in ("add", "change", "merge", "delete", "place", "shift", "undo")])
    seen = forms.CharField(required=False, max_length=40)
    name = forms.CharField(required=False, max_length=trees.MAX_NAME)
    names = forms.Field(required=False, widget=forms.SelectMultiple)
    new_name = forms.CharField(label="Name", required=False, max_length=200)
    description = forms.CharField(label="What belongs to it", required=False, max_length=500)
    keywords = forms.CharField(label="Keywords", required=False, max_length=4000)
    into = forms.CharField(required=False, max_length=200)
    parent = forms.CharField(required=False, max_length=trees.MAX_NAME)
    before = forms.CharField(required=False, max_length=trees.MAX_NAME)
    way = forms.ChoiceField(required=False, choices=[(w, w) for w in ("", "up", "down", "in", "out")])
    subtopics = forms.ChoiceField(required=False, choices=[("", "delete"), ("keep", "keep")])

    def clean_names(self) -> list[str]:
        return [str(name)[: trees.MAX_NAME] for name in self.cleaned_data["names"] or []]

    def clean_keywords(self) -> list[str]:
        return words_in(self.cleaned_data["keywords"])


class SplitForm(StudioForm):
    """Where topics are looked for: inside a topic, or among records that fit none."""

    inside = forms.CharField(max_length=80)
    parts = forms.IntegerField(required=False, min_value=2, max_value=8)


class AcceptForm(StudioForm):
    """Proposals that are ticked, each with the name it is to have."""

    inside = forms.CharField(max_length=80)
    seen = forms.CharField(required=False, max_length=40)
    use = forms.Field(required=False, widget=forms.SelectMultiple)
    forget = forms.BooleanField(required=False)

    def chosen(self, dataset: Dataset) -> list[tuple[TopicProposal, str]]:
        ticked = {str(pk) for pk in self.cleaned_data["use"] or []}
        found = dataset.topic_proposals.filter(inside=self.cleaned_data["inside"])
        return [(one, str(self.data.get(f"name-{one.pk}", ""))) for one in found if str(one.pk) in ticked]


class ReplaceForm(StudioForm):
    """Another tree: a template's, or one given as JSON in a file or pasted."""

    template = forms.ChoiceField(required=False, choices=[("", ""), *((key, key) for key in TEMPLATES)])
    file = forms.FileField(label="File", required=False, help_text="A tree that was exported here, as .json.")
    pasted = forms.CharField(
        label="Or paste",
        required=False,
        max_length=MAX_TREE,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, object]:
        """``tree`` and ``source``: what it is called in the history."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        if cleaned["template"]:
            template = TEMPLATES[cleaned["template"]]
            return {**cleaned, "tree": template.tree, "source": f"The template “{template.title}”"}
        file = cleaned["file"]
        if file is not None and file.size > MAX_TREE:
            raise forms.ValidationError("The file is larger than a tree can be; choose the one that was exported here.")
        text = file.read() if file is not None else cleaned["pasted"].encode()
        if not text.strip():
            raise forms.ValidationError("Choose a file or paste a tree.")
        tree = self._parsed(text)
        return {**cleaned, "tree": tree, "source": f"The file {file.name[:60]}" if file else "The pasted tree"}

    @staticmethod
    def _parsed(text: bytes) -> TopicTree:
        try:
            tree = trees.parse_json(text)
        except TopicError as error:
            raise forms.ValidationError(str(error)) from None
        if not tree.topics:
            raise forms.ValidationError("There is no topic in this tree.")
        return tree
