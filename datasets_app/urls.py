from __future__ import annotations

from django.urls import path

from .views import commands, exporting, pages, regions, rejected, uploads, workbench

app_name = "datasets"

urlpatterns = [
    path("", pages.datasets, name="datasets"),
    path("new/", pages.new_dataset, name="new_dataset"),
    path("<int:pk>/", pages.dataset, name="dataset"),
    path("<int:pk>/import/", pages.import_page, name="import_page"),
    path("<int:pk>/import/<int:batch_pk>/", pages.review_import, name="review_import"),
    path("<int:pk>/import/<int:batch_pk>/rejected/", rejected.rejected, name="rejected"),
    path("<int:pk>/import/<int:batch_pk>/rejected/<int:line>/", rejected.mend, name="mend"),
    path("<int:pk>/report/", pages.report, name="report"),
    path("<int:pk>/report.<str:form>", pages.download_report, name="download_report"),
    path("<int:pk>/topics/", pages.topics, name="topics"),
    path("<int:pk>/records/", workbench.records, name="records"),
    path("<int:pk>/records/change/", workbench.bulk_change, name="bulk_change"),
    path("<int:pk>/records/<int:record_pk>/", workbench.record, name="record"),
    path("<int:pk>/records/<int:record_pk>/edit/", workbench.edit_record, name="edit_record"),
    path("<int:pk>/snapshots/", workbench.snapshots, name="snapshots"),
    path("<int:pk>/snapshots/<int:other_pk>/to/<int:snapshot_pk>/", workbench.snapshot_diff, name="snapshot_diff"),
    path("<int:pk>/changes/", workbench.changes, name="changes"),
    # files sent in parts; POST only
    path("upload/", uploads.upload_new, name="upload_new"),
    path("<int:pk>/upload/", uploads.upload, name="upload"),
    path("upload/<int:upload_pk>/", uploads.send_chunk, name="send_chunk"),
    path("upload/<int:upload_pk>/discard/", uploads.discard_upload, name="discard_upload"),
    path("<int:pk>/import/<int:batch_pk>/discard/", uploads.discard_file, name="discard_file"),
    path("<int:pk>/export/", exporting.exports, name="exports"),
    path("<int:pk>/export/<int:export_pk>/", exporting.export, name="export"),
    path("<int:pk>/export/<int:export_pk>/<slug:what>", exporting.download_export, name="download_export"),
    # live regions: path, view, URL name, partial and DOM id are one word
    path("<int:pk>/regions/summary/", regions.summary, name="summary"),
    path("<int:pk>/regions/coverage/", regions.coverage, name="coverage"),
    path("<int:pk>/regions/readiness/", regions.readiness, name="readiness"),
    path("<int:pk>/regions/actions/", regions.actions, name="actions"),
    path("<int:pk>/regions/bulk_work/", regions.bulk_work, name="bulk_work"),
    path("<int:pk>/regions/sanitize_work/", regions.sanitize_work, name="sanitize_work"),
    path("<int:pk>/regions/topic_work/", regions.topic_work, name="topic_work"),
    path("<int:pk>/regions/<int:batch_pk>/preview/", regions.preview, name="preview"),
    path("<int:pk>/regions/<int:batch_pk>/reread_work/", rejected.reread_work, name="reread_work"),
    path("<int:pk>/regions/<int:batch_pk>/import_work/", regions.import_work, name="import_work"),
    path("<int:pk>/regions/<int:export_pk>/export_work/", exporting.export_work, name="export_work"),
    # commands: POST only
    path("<int:pk>/run/import/<int:batch_pk>/", commands.run_import, name="run_import"),
    path("<int:pk>/run/reread/<int:batch_pk>/", rejected.run_reread, name="run_reread"),
    path("<int:pk>/run/sanitize/", commands.run_sanitize, name="run_sanitize"),
    path("<int:pk>/run/topics/", commands.run_topics, name="run_topics"),
    path("<int:pk>/run/categorize/", commands.run_categorize, name="run_categorize"),
    path("<int:pk>/again/<str:action>/", commands.again, name="again"),
    path("<int:pk>/stop/<str:action>/", commands.stop, name="stop"),
    path("<int:pk>/stop_import/<int:batch_pk>/", commands.stop_import, name="stop_import"),
    path("<int:pk>/run/export/<int:export_pk>/", exporting.run_export, name="run_export"),
    path("<int:pk>/stop_export/<int:export_pk>/", exporting.stop_export, name="stop_export"),
    path("<int:pk>/delete_export/<int:export_pk>/", exporting.delete_export, name="delete_export"),
    path("<int:pk>/freeze/", workbench.freeze, name="freeze"),
    path("<int:pk>/undo_last/", workbench.undo_last, name="undo_last"),
    path("<int:pk>/stop_bulk/", workbench.stop_bulk, name="stop_bulk"),
    path("<int:pk>/changes/<int:change_pk>/undo/", workbench.undo_change, name="undo_change"),
    path("<int:pk>/changes/<int:change_pk>/again/", workbench.change_again, name="change_again"),
    path("<int:pk>/topics/edit/", commands.edit_topics, name="edit_topics"),
    path("<int:pk>/targets/", commands.set_targets, name="set_targets"),
    path("<int:pk>/records/<int:record_pk>/topic/", workbench.set_topic, name="set_topic"),
]
