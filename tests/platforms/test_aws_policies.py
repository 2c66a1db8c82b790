"""The policies for AWS: what they allow, and that the documentation prints the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rft_project.platforms import aws_policies as policies

DOCS = Path(__file__).parents[2] / "docs" / "platforms"
PLACE = policies.Place()
OREGON = policies.Place(region="us-west-2", judge_role="arn:aws:iam::123456789012:role/RftJudge")
APP_ROLE = "arn:aws:iam::123456789012:role/RftStudio"


@pytest.mark.parametrize(
    ("page", "policy"),
    [
        ("bedrock", policies.app_policy(PLACE)),
        ("bedrock", policies.assume_policy(APP_ROLE)),
        ("bedrock", policies.job_trust(PLACE)),
        ("bedrock", policies.job_policy(PLACE)),
        ("bedrock", policies.grader_trust()),
        ("bedrock", policies.grader_policy(PLACE)),
        ("bedrock", policies.judge_policy(PLACE)),
        ("bedrock_openai", policies.grader_trust()),
        ("bedrock_openai", policies.grader_policy(OREGON)),
        ("bedrock_openai", policies.judge_policy(OREGON)),
        ("bedrock_openai", policies.publisher_policy(OREGON)),
        ("bedrock_openai", policies.key_policy(OREGON)),
    ],
    ids=["app", "assume", "job trust", "job", "grader trust", "grader", "judge", "lambda trust", "function", "asking",
         "publisher", "key"],
)  # fmt: skip
def test_the_documentation_prints_the_same(page: str, policy: dict[str, Any]) -> None:
    assert f"```json\n{policies.text_of(policy)}\n```" in (DOCS / f"{page}.md").read_text(encoding="utf-8")


def test_a_graders_function_may_write_logs_and_nothing_else() -> None:
    (statement,) = policies.grader_policy(PLACE)["Statement"]
    assert {action.partition(":")[0] for action in statement["Action"]} == {"logs"}
    assert all("/aws/lambda/rft-*" in resource for resource in statement["Resource"])


def test_everything_is_made_for_this_account_region_bucket_and_roles() -> None:
    place = policies.Place(
        account="999999999999",
        region="us-west-2",
        bucket="ours",
        job_role="arn:aws:iam::999999999999:role/A",
        grader_role="arn:aws:iam::999999999999:role/B",
        judge_role="arn:aws:iam::999999999999:role/C",
    )
    text = policies.text_of(policies.app_policy(place))
    assert "123456789012" not in text
    assert "us-east-1" not in text
    assert "YOUR-BUCKET" not in text
    passed = [s for s in json.loads(text)["Statement"] if s["Action"] == ["iam:PassRole"]]
    assert [s["Resource"] for s in passed] == [[place.job_role], [place.grader_role, place.judge_role]]
