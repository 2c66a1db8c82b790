"""How chat models are asked by OpenAI's rules, on its own platform and on those that host its models."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from .errors import PlatformError
from .openai_protocol import OpenAIProtocol
from .pacing import committed
from .pool import persistently
from .types import JsonDict, Sample, SampleRequest, Usage

#: Models that think before they answer take no temperature and count their thoughts among the answer's tokens.
_REASONING = ("o1", "o3", "o4", "gpt-5")


class ChatModels(OpenAIProtocol):
    """Adapters subclass; ``behind`` says which model a name stands for."""

    system_role: ClassVar[str] = "developer"

    def behind(self, name: str) -> str:
        """The model a request's ``model`` leads to, where a platform calls models by names of people's own."""
        return name

    def thinks(self, name: str) -> bool:
        """Whether ``name`` leads to a model that thinks before it answers."""
        return reasons(self.behind(name))

    def sample(self, request: SampleRequest) -> Sample:
        """Several requests where a model gives one answer at a time."""
        try:
            return super().sample(request)
        except PlatformError as error:
            if request.n == 1 or error.status != 400 or parameter(error) != "n":
                raise
        one_by_one = _one_by_one(request)
        samples = [super().sample(one_by_one[0])]
        with committed():
            samples += [persistently(partial(super(ChatModels, self).sample, single)) for single in one_by_one[1:]]
        usage = Usage(
            prompt_tokens=sum(s.usage.prompt_tokens for s in samples),
            completion_tokens=sum(s.usage.completion_tokens for s in samples),
        )
        return Sample(
            answers=[answer for s in samples for answer in s.answers],
            usage=usage,
            seconds=sum(s.seconds for s in samples),
        )

    def sampling_parameters(self, request: SampleRequest) -> JsonDict:
        arguments: JsonDict = {"max_completion_tokens": request.max_tokens}
        if not self.thinks(request.model):
            arguments["temperature"] = request.temperature
            if request.seed is not None:
                arguments["seed"] = request.seed
        elif request.reasoning_effort:
            arguments["reasoning_effort"] = request.reasoning_effort
        if request.tools:
            arguments["tools"] = request.tools
        if request.response_format is not None:
            arguments["response_format"] = request.response_format
        return arguments


def reasons(model: str) -> bool:
    """Whether ``model``, or the one it was tuned from, thinks before it answers."""
    return model.removeprefix("ft:").removeprefix("ft-").startswith(_REASONING)


def parameter(error: PlatformError) -> str:
    """The parameter a refusal names, read from the SDK's error behind it."""
    return str(getattr(error.__cause__, "param", "") or "")


def _one_by_one(request: SampleRequest) -> list[SampleRequest]:
    """``n`` requests for one answer; with a seed each has its own, or all answers would be the same."""
    seeds = [None if request.seed is None else request.seed + i for i in range(request.n)]
    return [request.model_copy(update={"n": 1, "seed": seed}) for seed in seeds]
