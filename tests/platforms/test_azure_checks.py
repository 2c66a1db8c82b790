"""What passes our checks before an upload passes the strict emulator's, whatever the rows look like."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rft_project.platforms import PlatformError
from rft_project.platforms.azure_checks import check, deployment_name, suffix, tag, written_for_azure
from rft_project.platforms.types import TrainingRequest
from tests.emulators.checks import checked_rows
from tests.engine.process import EXACT
from tests.platforms.contract import prompted

CONTENTS = st.one_of(
    st.text(max_size=20),
    st.none(),
    st.integers(),
    st.lists(
        st.sampled_from([{"type": "text", "text": "x"}, {"type": "image_url"}, {"type": "input_audio"}]), max_size=2
    ),
)
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "critic"]), "content": CONTENTS},
    optional={"tool_calls": st.just([CALL])},
)
TEXTS = st.text(alphabet=st.sampled_from(list("{} \n[]item.sample0a")), max_size=40)
GRADERS = st.recursive(
    st.fixed_dictionaries({"type": st.sampled_from(["string_check", "score_model", "python"]), "input": TEXTS}),
    lambda inner: st.fixed_dictionaries(
        {"type": st.just("multi"), "graders": st.dictionaries(st.sampled_from(["source", "name", "a"]), inner)}
    ),
    max_leaves=3,
)


@given(st.lists(MESSAGES, max_size=4))
def test_rows_that_pass_are_taken(messages: list[dict[str, Any]]) -> None:
    rows = [*prompted(0, 4), {"messages": messages}]
    request = TrainingRequest(key="k", model="m", train_rows=rows, valid_rows=prompted(0, 4), grader=EXACT)
    try:
        check(request)
    except PlatformError:
        return
    sent = [
        {"messages": [{**m, "role": "developer"} if m["role"] == "system" else m for m in row["messages"]]}
        for row in rows
    ]
    content = "".join(json.dumps(row) + "\n" for row in sent).encode()
    assert len(checked_rows(content, least=10, most=50_000, param="training_file")) == len(rows)


@given(GRADERS)
def test_graders_are_written_once_and_for_all(grader: dict[str, Any]) -> None:
    written = written_for_azure(grader)
    assert written_for_azure(written) == written
    for template in re.findall(r"\{\{(.*?)\}\}", json.dumps(written)):
        assert template == template.strip(" ")


def test_code_stays_as_it_is_and_a_component_may_have_any_name() -> None:
    code = {"type": "python", "name": "p", "source": "def grade(sample, item):\n    return {{ 1 }}"}
    judge = {"type": "score_model", "name": "j", "model": "m", "input": [{"role": "user", "content": "{{ item.x }}"}]}
    multi = {"type": "multi", "name": "t", "graders": {"source": judge, "name": code}, "calculate_output": "source"}
    written = written_for_azure(multi, "ours")
    assert written["graders"]["name"] == code
    assert written["graders"]["source"] == {
        **judge,
        "model": "ours",
        "input": [{"role": "user", "content": "{{item.x}}"}],
    }


@pytest.mark.parametrize("template", ["{{item.a[0]}}", "{{ sample.output_tools[0].function.name }}"])
def test_an_index_is_found_wherever_it_stands(template: str) -> None:
    inner = {"type": "score_model", "name": "j", "model": "m", "input": [{"role": "user", "content": f"x {template}"}]}
    grader = {"type": "multi", "name": "t", "graders": {"name": inner}, "calculate_output": "name"}
    request = TrainingRequest(key="k", model="m", train_rows=prompted(0, 4), valid_rows=prompted(0, 4), grader=grader)
    with pytest.raises(PlatformError, match="may not read the index"):
        check(request)


@given(st.text(max_size=90), st.text(min_size=1, max_size=60))
def test_names_fit_and_end_with_the_keys_tag(text: str, key: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", suffix(text, key))
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", deployment_name(text, key))
    assert suffix(text, key).endswith(tag(key))
    assert deployment_name(text, key).endswith(tag(key))
