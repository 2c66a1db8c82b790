"""Shared vocabulary of the platform port: plain values, no Django, no network.

Messages travel as the JSON the field uses (``{"role", "content", "tool_calls", "tool_call_id"}``); everything that
crosses the port is one of the frozen models below. Models of what *we* send forbid unknown keys.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

JsonDict = dict[str, Any]
Message = dict[str, Any]


class Value(BaseModel):
    """Frozen value object; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def text_of(content: Any) -> str:
    """Text of a message's content: a string as it is, of a list of parts the text parts joined by newlines, else ''."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [p.get("text") for p in content if isinstance(p, dict)]
        return "\n".join(p for p in parts if isinstance(p, str))
    return ""


def last_user_text(messages: list[Message]) -> str:
    """Text of the last message with role ``user``, or ''."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def make_item(row_fields: JsonDict, messages: list[Message], reference_answer: Any) -> JsonDict:
    """``item`` of one record: its own fields, the messages, the last user message as ``user_message``.

    ``reference_answer`` is there only if the record has one, so that a grader that needs it says so.
    """
    item: JsonDict = {**row_fields, "messages": messages, "user_message": last_user_text(messages)}
    if reference_answer is not None:
        item["reference_answer"] = reference_answer
    return item


class Access(StrEnum):
    """Who can start training on a model today."""

    OPEN = "open"
    EXISTING = "existing"
    INVITATION = "invitation"
    RETIRED = "retired"


class RowTools(StrEnum):
    """What becomes of the tools that training rows offer."""

    YES = "yes"
    UNPROVEN = "unproven"  # the platform's pages do not say
    IGNORED = "ignored"  # they are taken, and the model is not told of them


class Bound(Value):
    """Range of one hyperparameter; ``None`` means unbounded on that side."""

    default: float | int | str | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: list[str] = []
    integer: bool = False
    label: str = ""
    help: str = ""


class ModelInfo(Value):
    """A base model as the catalogue describes it. Dates are ISO; a price, limit or date that is None is not known."""

    id: str
    label: str
    platform: str
    access: Access = Access.OPEN
    retires: str | None = None  # the day the base model is switched off
    trains_until: str | None = None  # the last day on which a training can be started
    serves_until: str | None = None  # the last day on which tuned models answer
    preview: bool = False
    summary: str = ""
    needs: list[str] = []  # sentences: what must be there before a training can start
    regions: list[str] = []  # where it can be trained; [] where the platform has no regions or they are not known
    method: str = "reinforcement"
    hyperparameters: dict[str, Bound] = {}
    options: dict[str, Bound] = {}  # choices of a platform's own beside them, such as Azure's training type
    deploy_options: dict[str, Bound] = {}
    deployable: bool = True  # False: a tuned model can be made callable only outside this product
    grader_types: list[str] = []
    packed_grader: bool = False  # the grader travels as ``TrainingRequest.grader_package``, a Lambda function's zip
    # What a file of training rows may hold
    min_rows: int = 1
    max_train_rows: int | None = None
    min_valid_rows: int = 0
    max_valid_rows: int | None = None
    takes_validation: bool = True  # False: validation rows are not sent; the product compares with them afterwards
    max_file_bytes: int | None = None
    last_message_user: bool = False
    text_only: bool = True
    row_tools: RowTools = RowTools.YES
    needs_allowed_answers: bool = False
    max_answer_tokens: int | None = None
    # How answers are asked for
    thinks: bool = False  # before each answer, unless told otherwise; its thoughts count among the answer's tokens
    effort_setting: str = ""  # the hyperparameter that says how long it thinks, where answers can be asked for alike
    answer_form: bool = False  # a training takes the ``response_format`` that its answers must have
    # Prices in US dollars; 0: free
    usd_per_hour: float | None = None  # of training
    usd_per_million_tokens: float | None = None  # of training, where tokens are billed
    usd_per_million_input_tokens: float | None = None  # of asking the tuned model
    usd_per_million_output_tokens: float | None = None
    usd_per_hosting_hour: float | None = None  # of a deployment
    price_as_of: str = ""
    price_source: str = ""


class Capabilities(Value):
    """What a platform can do here and now."""

    sample: bool = False
    embed: bool = False
    train: bool = False
    deploy: bool = False
    pause: bool = False
    promote: bool = False
    models: list[ModelInfo] = []
    notice: str = ""  # a sentence for people, e.g. "closed to new customers since …"


class Usage(Value):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class SampleRequest(Value):
    """Ask ``model`` for ``n`` answers to one prompt. ``temperature`` 0 means greedy."""

    model: str
    messages: list[Message]
    n: int = Field(1, ge=1)
    temperature: float = Field(1.0, ge=0.0)
    max_tokens: int = Field(256, ge=1)
    seed: int | None = None
    tools: list[JsonDict] = []
    response_format: JsonDict | None = None
    allowed_answers: list[str] = []  # only for models whose catalogue entry needs them
    reasoning_effort: str = ""  # how long a model that thinks first may think, in the platform's words; '' its own way


class Answer(Value):
    """One sampled answer. ``tool_calls`` in chat-completions form."""

    text: str
    tool_calls: list[JsonDict] = []
    finish_reason: str = "stop"


class Sample(Value):
    """The answers to one request, in order, with the usage of the whole request and seconds it took."""

    answers: list[Answer]
    usage: Usage = Usage()
    seconds: float = 0.0


class TrainingRequest(Value):
    """One RFT job. ``key`` identifies the intent: starting twice with one key never makes two jobs."""

    key: str
    model: str
    train_rows: list[JsonDict]  # {"messages": […], "tools"?: […], **item fields}
    valid_rows: list[JsonDict]
    grader: JsonDict
    #: The grader as the zip of a Lambda function, where ``ModelInfo.packed_grader`` asks for it. Not in dumps: the
    #: document says the same.
    grader_package: bytes = Field(b"", exclude=True, repr=False)
    hyperparameters: JsonDict = {}
    options: JsonDict = {}  # by the names of ``ModelInfo.options``
    suffix: str = ""
    seed: int = 0
    response_format: JsonDict | None = None
    allowed_answers: list[str] = []


class Handle(Value):
    """A platform's own id for something it made."""

    id: str
    kind: str = "job"


class State(StrEnum):
    """One vocabulary for every platform's status words."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class Checkpoint(Value):
    id: str
    model: str
    step: int
    metrics: dict[str, float] = {}


class TrainingStatus(Value):
    """What the platform says of a job. ``word`` is its own status word, ``detail`` a sentence for people."""

    state: State
    word: str
    detail: str = ""
    model: str | None = None
    step: int | None = None
    total_steps: int | None = None
    raw: JsonDict = {}


class TrainingEvent(Value):
    """A log line or a set of metrics of one step.

    Series: ``train_reward``, ``valid_reward``, ``reward:<component>``, ``valid_reward:<component>`` (means, in the
    grader's range); ``observed_reward`` and ``observed_reward:<component>`` (what the grader itself logged, where the
    platform tells no reward); ``answer_tokens``, ``reasoning_tokens`` (means per answer); ``judge_prompt_tokens``,
    ``judge_completion_tokens`` (of all judge calls of the step); ``errors`` (gradings that failed); ``flat_share``
    (share of prompts whose answers all scored the same, 0 to 1); ``entropy`` (nats); ``seconds`` (of the step).
    """

    id: str
    at: float  # epoch seconds
    level: str = "info"
    message: str = ""
    step: int | None = None
    total_steps: int | None = None
    metrics: dict[str, float] = {}


class EventPage(Value):
    """Events in the order they happened and the cursor to ask with next time."""

    events: list[TrainingEvent]
    cursor: str | None = None


class DeployRequest(Value):
    """``key`` as in TrainingRequest; ``name`` is for people and may be made to fit the platform's rules."""

    key: str
    model: str
    name: str = ""
    base: str = ""  # the base model it was trained from
    options: JsonDict = {}  # by the names of ``ModelInfo.deploy_options``


class DeploymentStatus(Value):
    state: State
    word: str
    detail: str = ""
    model: str = ""  # what to put into `model` when calling it
