"""A judge in a Lambda function: Bedrock's Converse, answered through a forced tool call.

A forced tool call works with every version of boto3 that the Lambda runtimes have; structured output of Converse does
not. A judge that fails is an error to be counted: a made-up score would teach the model noise.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

IN_FLIGHT = 16
#: ``standard``, not ``adaptive``: that one slows all threads down together (64 questions with a fifth throttled: 3.0 s
#: against 41.9 s).
RETRIES = {"mode": "standard", "max_attempts": 8}
_PARAMS = {"temperature": "temperature", "top_p": "topP", "max_completions_tokens": "maxTokens"}


class ConverseJudge:
    """``judge(questions)``: an answer's text or an exception each. The client is made once, with the first question."""

    def __init__(self) -> None:
        boto3 = importlib.import_module("boto3")  # the Lambda runtime has it, this application does not need it
        config = importlib.import_module("botocore.config").Config(
            retries=RETRIES, max_pool_connections=IN_FLIGHT, connect_timeout=5, read_timeout=60
        )
        self._client = boto3.client("bedrock-runtime", config=config)
        self._pool = ThreadPoolExecutor(IN_FLIGHT)

    def __call__(self, questions: Sequence[dict[str, Any]]) -> list[str | Exception]:
        return list(self._pool.map(self._ask, questions))

    def _ask(self, question: dict[str, Any]) -> str | Exception:
        try:
            return _answer(self._client.converse(**request_of(question)))
        except Exception as error:  # whatever the SDK raises is about this question alone
            return RuntimeError(f"The judge did not answer ({type(error).__name__}).")


def request_of(question: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``converse``: system texts apart, turns of one role in a row joined, the schema as a tool."""
    schema = question["schema"]
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for message in question["messages"]:
        content = [{"text": text} for text in _texts(message["content"])]
        if message["role"] in ("system", "developer"):
            system += content
        elif turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += content
        else:
            turns.append({"role": message["role"], "content": content})
    if not turns:  # Converse wants a user turn
        system, turns = [], [{"role": "user", "content": system}]
    tool = {"name": schema["name"], "inputSchema": {"json": schema["schema"]}}
    params = {_PARAMS[name]: value for name, value in question["sampling_params"].items() if name in _PARAMS}
    return {
        "modelId": question["model"],
        "messages": turns,
        "inferenceConfig": {"temperature": 0, "maxTokens": 2000, **params},
        "toolConfig": {"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": schema["name"]}}},
        **({"system": system} if system else {}),
    }


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _answer(response: dict[str, Any]) -> str:
    blocks = response["output"]["message"]["content"]
    for block in blocks:
        if "toolUse" in block:
            return json.dumps(block["toolUse"]["input"])
    return "".join(block.get("text", "") for block in blocks)
