from django.db import migrations


def keep_edits(apps, schema_editor):
    """What could be undone before can be undone after."""
    TopicEdit = apps.get_model("datasets_app", "TopicEdit")
    for dataset in apps.get_model("datasets_app", "Dataset").objects.exclude(topic_history=[]).iterator():
        TopicEdit.objects.bulk_create(
            TopicEdit(
                dataset_id=dataset.pk,
                sentence=edit["sentence"],
                tree=edit["tree"],
                targets=edit.get("targets", dataset.topic_targets),
                by_hand=edit.get("by_hand", {}),
            )
            for edit in dataset.topic_history
        )


class Migration(migrations.Migration):
    dependencies = [("datasets_app", "0015_topic_edits")]

    operations = [
        migrations.RunPython(keep_edits, migrations.RunPython.noop),
        migrations.RemoveField(model_name="dataset", name="topic_history"),
    ]
