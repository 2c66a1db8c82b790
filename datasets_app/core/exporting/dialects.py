"""RFT files for platforms: the row every training run sends, in the words of one platform, checked by its rules.

The numbers and rules are those the platforms publish (read November 2026): OpenAI's guide and API description of
reinforcement fine-tuning, Microsoft Foundry's fine-tuning pages, Amazon Bedrock's "prepare your data" pages and the
validator in Amazon's own SDK. ``docs/exports.md`` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from datasets_app.core.exporting.base import Columns, Entry, Limits, Rendered, Rule
from datasets_app.core.records import Trace, clean_json, encode_json, tool_calls_of
from datasets_app.core.rows import RESERVED, item_of
from rft_project.platforms.types import JsonDict, Message, text_of

FILE_BYTES = 512 * 1024 * 1024
_SYSTEM = ("system", "developer")
_TEXT_PARTS = frozenset({"text", "input_text", "output_text"})
# Microsoft's own check of training files warns of these: they trip the content filter.
_FILTERED = ("chain of thought", "chain-of-thought", "step by step reasoning", "step-by-step reasoning", "let me think")


@dataclass(frozen=True)
class Dialect:
    """How one platform wants a row. ``strict`` adds what Bedrock's validator refuses and the others do not mention."""

    label: str
    limits: Limits
    system_role: str
    message_keys: frozenset[str]
    images: bool = False
    strict: bool = False
    filtered: bool = False  # phrases that trip a content filter are worth a note
    numbered: bool = False  # each row carries an id


OPENAI = Dialect(
    label="OpenAI",
    limits=Limits(max_rows=50_000, max_valid_rows=1_000, max_bytes=FILE_BYTES),
    system_role="developer",
    message_keys=frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "weight"}),
    images=True,
    filtered=True,
)
AZURE = Dialect(
    label="Azure",
    limits=Limits(min_rows=10, max_rows=50_000, max_valid_rows=1_000, max_bytes=FILE_BYTES - 1),
    system_role="developer",
    message_keys=OPENAI.message_keys,
    filtered=True,
)
BEDROCK = Dialect(
    label="Bedrock",
    limits=Limits(min_rows=100, max_rows=20_000),
    system_role="system",
    message_keys=frozenset({"role", "content", "tool_calls", "tool_call_id"}),
    strict=True,
    numbered=True,
)
# Chat templates of open models read text; a prompt that ends with an answer has nothing to train on.
TRL = Dialect(label="TRL", limits=Limits(), system_role="system", message_keys=BEDROCK.message_keys)

COMMON_RULES = (
    Rule("no_messages", "The record has no list of messages."),
    Rule("unknown_role", "A message has a role the platform does not know."),
    Rule("last_not_user", "The conversation does not end with the user's message, so there is nothing to answer."),
    Rule("missing_content", "A message has neither content nor tool calls."),
    Rule("not_text", "A message has a part the platform does not take, such as a picture, sound or a file."),
    Rule("tool_call_id", "A tool call or a tool's result lacks its id, its name or its arguments as text."),
    Rule("tools_shape", "A tool is not of the type function with a name."),
)
STRICT_RULES = (
    Rule("empty_content", "A message has an empty content."),
    Rule("system_not_first", "A system message stands after another message."),
    Rule("tools_incomplete", "A tool lacks its description or its parameters."),
    Rule("tool_names_repeat", "Two tools have the same name."),
    Rule("reference_empty", "The reference answer is there but empty."),
)
OVERLAP_RULE = Rule("in_validation", "The same row stands in the validation part; a platform refuses both files.")
NOTES = (
    Rule("nothing_to_grade", "Nothing stands beside the messages: only a grader that needs no right answer can score."),
    Rule("keys_left_out", "Keys of messages that the platform does not know were left out."),
    Rule("reserved_names", "Fields called messages or tools were left out; their names belong to the conversation."),
    Rule("characters_replaced", "Halves of characters that no UTF-8 file can hold were replaced by U+FFFD."),
)
FILTER_NOTE = Rule("filtered_phrases", "A text speaks of reasoning in words that trip the platform's content filter.")
REFERENCE_NOTE = Rule("reference_as_text", "A right answer that is a number, a list or true or false was made text.")


def rules_of(dialect: Dialect) -> tuple[Rule, ...]:
    """The rules whose breach leaves a row out."""
    return (*COMMON_RULES, *(STRICT_RULES if dialect.strict else (OVERLAP_RULE,)))


def notes_of(dialect: Dialect) -> tuple[Rule, ...]:
    """What is said of rows that are written."""
    return (*NOTES, FILTER_NOTE) if dialect.filtered else (*NOTES, REFERENCE_NOTE)


def render(dialect: Dialect, entry: Entry, columns: Columns) -> Rendered:
    """The row, or the rules it breaks; all of them, not the first only."""
    trace = entry.trace
    broken = sorted(broken_rules(dialect, trace))
    if broken:
        return Rendered(b"", tuple(broken))
    row, notes = platform_row(dialect, entry)
    text, replaced = utf8_line(row)
    if replaced:
        notes.append("characters_replaced")
    graded = sorted(row.keys() - RESERVED - {"user_message", "id"})
    reference = encode_json(row.get("reference_answer"), sort=True)
    return Rendered(text, (), tuple(notes), "\n".join(graded), reference)


def platform_row(dialect: Dialect, entry: Entry) -> tuple[JsonDict, list[str]]:
    """The training row in the platform's words, and notes on what was done to it."""
    row, notes = item_of(entry.trace), []
    row["messages"] = [_message(dialect, message) for message in row["messages"]]
    if any(message.keys() - dialect.message_keys for message in entry.trace.messages):
        notes.append("keys_left_out")
    if entry.trace.fields.keys() & RESERVED:
        notes.append("reserved_names")
    if dialect.strict and not isinstance(row.get("reference_answer", ""), str | dict):
        row["reference_answer"] = encode_json(row["reference_answer"])
        notes.append("reference_as_text")
    if dialect.numbered and not (isinstance(row.get("id"), str) and row["id"]):
        row["id"] = f"record-{entry.record}"
    if not row.keys() - RESERVED - {"user_message", "id"}:
        notes.append("nothing_to_grade")
    if dialect.filtered:
        said = " ".join(text_of(message.get("content")) for message in row["messages"]).casefold()
        if any(phrase in said for phrase in _FILTERED):
            notes.append("filtered_phrases")
    return row, notes


def utf8_line(row: JsonDict) -> tuple[bytes, bool]:
    """One line of strict JSON, and whether characters had to be replaced: half a surrogate pair is no UTF-8."""
    try:
        return msgspec.json.encode(row), False
    except UnicodeError:
        return msgspec.json.encode(clean_json(row)), True
    except OverflowError:  # an integer beyond 64 bit
        return encode_json(clean_json(row)).encode(), False


def _message(dialect: Dialect, message: Message) -> Message:
    kept = {name: value for name, value in message.items() if name in dialect.message_keys}
    if kept["role"] in _SYSTEM:
        kept["role"] = dialect.system_role
    kept["content"] = _content(kept.get("content"))
    if dialect.strict and not kept["content"]:
        del kept["content"]  # a call of tools needs none, and an empty one is refused
    return kept


def _content(content: Any) -> Any:
    """Parts of text under the one name chat completions have for them."""
    if not isinstance(content, list):
        return content
    return [{**part, "type": "text"} if part.get("type", "text") in _TEXT_PARTS else part for part in content]


# --- the rules ----------------------------------------------------------------------------------------------------


def broken_rules(dialect: Dialect, trace: Trace) -> set[str]:
    """Ids of every rule the record breaks on this platform."""
    given = trace.input.get("messages")
    if not isinstance(given, list) or not given or not all(isinstance(message, dict) for message in given):
        return {"no_messages"}
    broken = {id for message in given for id in _broken_by(dialect, message)}
    if given[-1].get("role") != "user":
        broken.add("last_not_user")
    broken |= _broken_tools(dialect, trace)
    if dialect.strict:
        late = any(message.get("role") in _SYSTEM for message in given[1:])
        broken |= {"system_not_first"} if late else set()
        if trace.has_reference and trace.reference_answer in (None, "", {}):
            broken.add("reference_empty")
    return broken


def _broken_by(dialect: Dialect, message: Message) -> set[str]:
    role, content, calls = message.get("role"), message.get("content"), message.get("tool_calls")
    broken = set()
    if role not in ("system", "developer", "user", "assistant", "tool"):
        broken.add("unknown_role")
    silent = content is None and not (role == "assistant" and tool_calls_of(message))
    if silent or not (content is None or isinstance(content, str | list)):
        broken.add("missing_content")
    elif content in ("", []) and dialect.strict and not tool_calls_of(message):
        broken.add("empty_content")
    if isinstance(content, list) and not all(_known_part(dialect, part) for part in content):
        broken.add("not_text")
    if calls and not (isinstance(calls, list) and all(_whole_call(call) for call in calls)):
        broken.add("tool_call_id")
    if role == "tool" and not _filled(message.get("tool_call_id")):
        broken.add("tool_call_id")
    return broken


def _known_part(dialect: Dialect, part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type", "text")
    if kind in _TEXT_PARTS:
        return isinstance(part.get("text"), str)
    return dialect.images and kind == "image_url"


def _whole_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return False
    return _filled(call.get("id")) and _filled(function.get("name")) and isinstance(function.get("arguments"), str)


def _broken_tools(dialect: Dialect, trace: Trace) -> set[str]:
    tools = trace.input.get("tools")
    if not tools:
        return set()
    if not isinstance(tools, list) or not all(_is_tool(tool) for tool in tools):
        return {"tools_shape"}
    if not dialect.strict:
        return set()
    functions = [tool["function"] for tool in tools]
    whole = all(_filled(f.get("description")) and isinstance(f.get("parameters"), dict) for f in functions)
    once = len({f["name"] for f in functions}) == len(functions)
    return (set() if whole else {"tools_incomplete"}) | (set() if once else {"tool_names_repeat"})


def _is_tool(tool: Any) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and tool.get("type") == "function" and _filled(function.get("name"))


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
