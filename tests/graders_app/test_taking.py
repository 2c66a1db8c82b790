"""A grader as a file: from its page, and by command."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from graders_app.core.compiling import lambda_zip, python_file
from graders_app.services import save_grader
from tests.graders_app.conftest import EXACT, JUDGE, MULTI

pytestmark = pytest.mark.django_db
ROLE = {**JUDGE, "model": "judge"}


def test_the_page_has_each_file(multi, owner, client_of):
    client = client_of(owner)
    page = client.get(f"/graders/{multi.pk}/").content.decode()
    for target, name, media_type in (
        ("openai", "both-v1.json", "application/json"),
        ("azure", "both-v1.json", "application/json"),
        ("bedrock", "both-v1.zip", "application/zip"),
        ("python", "both-v1.py", "text/x-python"),
    ):
        address = f"/graders/{multi.pk}/take/{target}/"
        assert f'formaction="{address}"' in page
        answer = client.get(address)
        assert answer["Content-Type"] == media_type
        assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert "judge_model" not in page
    assert json.loads(client.get(f"/graders/{multi.pk}/take/openai/").content) == MULTI
    multi.refresh_from_db()  # a database may keep the keys in another order
    assert client.get(f"/graders/{multi.pk}/take/bedrock/").content == lambda_zip(multi.config)
    assert client.get(f"/graders/{multi.pk}/take/moon/").status_code == 404


def test_a_role_asks_for_its_model(workspace, owner, client_of):
    grader = save_grader(workspace, "Judge", ROLE, by=owner)
    client = client_of(owner)
    assert 'name="judge_model"' in client.get(f"/graders/{grader.pk}/").content.decode()
    answer = client.get(f"/graders/{grader.pk}/take/openai/", follow=True)
    assert answer.redirect_chain == [(f"/graders/{grader.pk}/", 302)]
    assert (
        "JSON for OpenAI was not made: model: judge is a role; name the model that judges." in answer.content.decode()
    )
    taken = client.get(f"/graders/{grader.pk}/take/openai/", {"judge_model": " gpt-4.1 "})
    document = json.loads(taken.content)
    assert document["graders"] == {"judge": {**ROLE, "model": "gpt-4.1"}}
    assert document["calculate_output"] == "(judge - 1) / 4"


def compiled(*arguments) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("compile_grader", *map(str, arguments), stdout=out)
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_the_command_writes_a_documents_file(tmp_path):
    source, out = tmp_path / "grader.json", tmp_path / "grader.zip"
    source.write_text(json.dumps(EXACT))
    code, said = compiled(source, "--to", "bedrock", "--out", out)
    assert code == 0
    assert said.startswith(f"{out}: {out.stat().st_size:,} bytes. A Lambda function")
    assert json.loads(zipfile.ZipFile(out).read("grader.json")) == EXACT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grader.json", "grader.zip"]


def test_the_command_finds_a_grader_by_its_name(multi, tmp_path):
    out = tmp_path / "grader.py"
    assert compiled("--grader", "Both", "--to", "python", "--out", out)[0] == 0
    multi.refresh_from_db()
    assert out.read_text(encoding="utf-8") == python_file(multi.config)
    code, said = compiled("--grader", "Neither", "--to", "python", "--out", out)
    assert (code, said) == (2, "No grader has the name 'Neither'; give a document's file.")


def test_the_command_says_what_keeps_it(tmp_path):
    source, out = tmp_path / "grader.json", tmp_path / "grader.zip"
    source.write_text(json.dumps(ROLE))
    code, said = compiled(source, "--to", "bedrock", "--out", out)
    assert (code, said) == (1, "model: judge is a role; name the model that judges.")
    assert not out.exists()
    assert compiled(source, "--to", "bedrock", "--out", out, "--judge-model", "us.amazon.nova-pro-v1:0")[0] == 0
    assert compiled(source, "--to", "bedrock", "--out", source)[0] == 2
    assert compiled(tmp_path / "none.json", "--to", "bedrock", "--out", out)[0] == 2
