"""Changes of the topic tree: each keeps what it replaced, moves the records concerned, and sorts again what is open."""

from __future__ import annotations

from django.db import transaction

from datasets_app.core import topic_edits, topics
from datasets_app.core.topic_templates import TEMPLATES
from datasets_app.core.topics import TopicTree
from rft_project.jobs.services import HasPk

from .actions import CATEGORIZE, start
from .forms import EditTopicForm
from .models import Dataset
from .services import Refused

REMEMBERED = 20  # edits that can be undone


def replace_tree(dataset: Dataset, tree: TopicTree, sentence: str, moves: dict[str, str | None] | None = None) -> None:
    """Store ``tree``; records move as ``moves`` says (None: to be sorted again), what people decided included."""
    history = [*dataset.topic_history, {"tree": dataset.topic_hierarchy, "sentence": sentence}][-REMEMBERED:]
    with transaction.atomic():
        Dataset.objects.filter(pk=dataset.pk).update(topic_hierarchy=tree.to_json(), topic_history=history)
        for old, new in (moves or {}).items():
            rows = dataset.records.filter(topic=old)
            if new is None:
                rows.update(topic=None, confidence=None, method="", needs_review=False)
            else:
                rows.update(topic=new)
        gone = dataset.records.exclude(topic=None).exclude(topic__in=[*tree.leaves(), topics.UNKNOWN])
        gone.update(topic=None, confidence=None, method="", needs_review=False)
    dataset.refresh_from_db()


def use_template(dataset: Dataset, slug: str, *, by: HasPk | None) -> None:
    """Take a template's tree and sort the records into it."""
    template = TEMPLATES[slug]
    replace_tree(dataset, template.tree, f"The template “{template.title}” replaced the topics.")
    start(dataset, CATEGORIZE, {}, by=by)


def apply(dataset: Dataset, form: EditTopicForm, *, by: HasPk | None) -> str:
    """One edit from the page; returns a sentence. Raises Refused."""
    values = form.cleaned_data
    if values["edit"] == "undo":
        return _undo(dataset, by)
    try:
        sentence = _edit(dataset, form)
    except topics.TopicError as error:
        raise Refused(str(error)) from None
    start(dataset, CATEGORIZE, {}, by=by)
    return sentence


def _edit(dataset: Dataset, form: EditTopicForm) -> str:
    values, tree = form.cleaned_data, dataset.topics
    name, new = values["name"], topics.snake_name(values["new_name"])
    if values["edit"] == "add":
        edit = topic_edits.add(tree, new, description=values["description"], keywords=form.keyword_list())
    elif values["edit"] == "merge":
        edit = topic_edits.merge(tree, [name, values["into"]], values["into"])
    elif values["edit"] == "delete":
        edit = topic_edits.delete(tree, name, records_to=values["into"] or None)
    else:
        edit = topic_edits.rename(tree, name, new)
        described = topic_edits.describe(edit.tree, new, values["description"])
        worded = topic_edits.set_keywords(described.tree, new, form.keyword_list())
        edit = topic_edits.Edit(worded.tree, edit.moves, edit.sentence if new != name else f"{name} was changed.")
    replace_tree(dataset, edit.tree, edit.sentence, edit.moves)
    return edit.sentence


def _undo(dataset: Dataset, by: HasPk | None) -> str:
    if not dataset.topic_history:
        raise Refused("There is nothing to undo.")
    last = dataset.topic_history[-1]
    replace_tree(dataset, topics.parse_tree(last["tree"]) if last["tree"] else TopicTree(), "")
    Dataset.objects.filter(pk=dataset.pk).update(topic_history=dataset.topic_history[:-2])
    start(dataset, CATEGORIZE, {}, by=by)
    return f"Undone: {last['sentence']}"
