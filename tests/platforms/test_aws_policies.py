"""The policies for AWS: what they allow, and that the documentation prints the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rft_project.platforms import aws_policies as policies

PAGE = (Path(__file__).parents[2] / "docs" / "platforms" / "bedrock.md").read_text(encoding="utf-8")
PLACE = policies.Place()


@pytest.mark.parametrize(
    "policy",
    [
        policies.app_policy(PLACE),
        policies.job_trust(PLACE),
        policies.job_policy(PLACE),
        policies.grader_trust(),
        policies.grader_policy(PLACE),
        policies.judge_policy(PLACE),
    ],
    ids=["app", "job trust", "job", "grader trust", "grader", "judge"],
)
def test_the_documentation_prints_the_same(policy) -> None:
    assert f"```json\n{policies.text_of(policy)}\n```" in PAGE


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
