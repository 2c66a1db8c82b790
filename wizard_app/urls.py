from __future__ import annotations

from django.urls import path

from .views import commands, pages, regions

app_name = "wizard"

urlpatterns = [
    path("", pages.runs, name="runs"),
    path("new/<int:pk>/", pages.new_run, name="new_run"),
    path("deployments/", pages.deployments, name="deployments"),
    path("<int:pk>/", pages.run, name="run"),
    path("<int:pk>/split/", pages.split, name="split"),
    path("<int:pk>/grader/", pages.grader, name="grader"),
    path("<int:pk>/dry-run/", pages.dry_run, name="dry_run"),
    path("<int:pk>/train/", pages.train, name="train"),
    path("<int:pk>/results/", pages.results, name="results"),
    path("<int:pk>/deployments/<int:deployment_pk>/", pages.deployment, name="deployment"),
    path("<int:pk>/playground/", pages.playground, name="playground"),
    path("<int:pk>/rate/", pages.rate, name="rate"),
    path("<int:pk>/sending/<str:step>/", pages.sending, name="sending"),
    path("<int:pk>/report.json", pages.report, name="report"),
    # live regions: path, view, URL name, partial and DOM id are one word
    path("<int:pk>/regions/attack/", regions.attack, name="attack"),
    path("<int:pk>/regions/dry_run_work/", regions.dry_run_work, name="dry_run_work"),
    path("<int:pk>/regions/repeats/", regions.repeats, name="repeats"),
    path("<int:pk>/regions/splitting/", regions.splitting, name="splitting"),
    path("<int:pk>/regions/training/", regions.training, name="training"),
    path("<int:pk>/regions/comparison/", regions.comparison, name="comparison"),
    path("<int:pk>/regions/standing/<int:deployment_pk>/", regions.standing, name="standing"),
    # commands: POST only
    path("<int:pk>/do/split/", commands.do_split, name="do_split"),
    path("<int:pk>/do/grader/", commands.do_grader, name="do_grader"),
    path("<int:pk>/do/trial/", commands.do_trial, name="do_trial"),
    path("<int:pk>/do/attack/", commands.do_attack, name="do_attack"),
    path("<int:pk>/do/stop-attack/", commands.do_stop_attack, name="do_stop_attack"),
    path("<int:pk>/do/repeats/", commands.do_repeats, name="do_repeats"),
    path("<int:pk>/do/stop-repeats/", commands.do_stop_repeats, name="do_stop_repeats"),
    path("<int:pk>/do/rate/", commands.do_rate, name="do_rate"),
    path("<int:pk>/do/unrate/", commands.do_unrate, name="do_unrate"),
    path("<int:pk>/do/dry-run/", commands.do_dry_run, name="do_dry_run"),
    path("<int:pk>/do/override/", commands.do_override, name="do_override"),
    path("<int:pk>/do/cap/", commands.do_cap, name="do_cap"),
    path("<int:pk>/do/train/", commands.do_train, name="do_train"),
    path("<int:pk>/do/pause/", commands.do_pause, name="do_pause"),
    path("<int:pk>/do/go-on/", commands.do_go_on, name="do_go_on"),
    path("<int:pk>/do/compare/", commands.do_compare, name="do_compare"),
    path("<int:pk>/do/stop/<str:step>/", commands.do_stop, name="do_stop"),
    path("<int:pk>/do/again/<str:step>/", commands.do_again, name="do_again"),
    path("<int:pk>/do/deploy/", commands.do_deploy, name="do_deploy"),
    path("<int:pk>/do/look/<int:deployment_pk>/", commands.do_look, name="do_look"),
    path("<int:pk>/do/promote/<int:deployment_pk>/", commands.do_promote, name="do_promote"),
    path("<int:pk>/do/undeploy/<int:deployment_pk>/", commands.do_undeploy, name="do_undeploy"),
]
