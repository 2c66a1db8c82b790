"""Judges that really answer: a grader's questions, asked of the model that a connection names for the role.

What a judge said is kept by what it was asked, so that a question is paid for once: a run that is repeated, a grader
tried again or a second grader with the same question gets the same answer for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from uuid import uuid4

from django.db import transaction

from graders_app.core.evaluate import Grader, Judge, JudgeAnswer, JudgeError, Limits, Question, open_grader
from graders_app.core.judgement import read_judgement
from graders_app.core.presets import JUDGE
from graders_app.core.spec import GraderSpec, ScoreModelSpec, children, parse_grader
from rft_project.connections.models import Connection, Workspace
from rft_project.connections.scrub import scrub
from rft_project.connections.services import platform_for, with_role
from rft_project.money import expenses
from rft_project.money.expenses import Account
from rft_project.money.models import Purpose
from rft_project.platforms.errors import NotYet, PlatformError
from rft_project.platforms.pool import PATIENT, run_pool
from rft_project.platforms.types import JsonDict, Sample, SampleRequest, Usage

from .models import Judgement
from .trial import no_judge

MAX_TOKENS = 2_000
LOOKED_UP = 400  # digests in one query


class ConnectionJudge:
    """A :class:`~graders_app.core.components.Judge` over one connection; not for several threads at once.

    ``repeat`` tells repeats of the same question apart, to see whether a judge agrees with itself. ``asked`` and
    ``kept`` count the questions that were paid for and those that were answered from what is kept; ``usage`` is what
    was paid for. With an ``account`` every question is held back on it first, and none is asked beyond its caps. Once
    ``should_stop()`` is true no more is asked. ``later`` is told of every question that had to wait, for a rate limit
    or since the work was stopped, and was not answered therefore; what it takes says how long.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        repeat: int = 0,
        account: Account | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        later: Callable[[NotYet], None] = lambda _: None,
    ) -> None:
        self._connection, self._repeat, self._account = connection, repeat, account
        self._should_stop, self._later = should_stop, later
        self._accounts: dict[str, Account] = {}  # by model
        self._keys: dict[str, str] = {}  # of the expense of each question, by its digest
        self.asked = self.kept = 0
        self.usage = Usage()

    def __call__(self, questions: Sequence[Question]) -> list[JudgeAnswer | JudgeError]:
        """An answer per question, in order. Equal questions are asked once."""
        digests = [self._digest(question) for question in questions]
        found: dict[str, JudgeAnswer | JudgeError] = dict(self._kept(digests))
        self.kept += sum(mark in found for mark in digests)
        missing = {mark: question for mark, question in zip(digests, questions, strict=True) if mark not in found}
        if missing:
            found.update(self._ask(missing))
        return [found[mark] for mark in digests]

    def _model(self, question: Question) -> str:
        return self._connection.judge_model if question.model == JUDGE else question.model

    def _digest(self, question: Question) -> str:
        # The address and the kind, not the row: the same model behind a new key says the same.
        where = [self._connection.kind, self._connection.address, self._model(question)]
        asked = json.dumps([where, question.messages, question.sampling_params, self._repeat], sort_keys=True)
        return blake2b(asked.encode(), digest_size=16).hexdigest()

    def _kept(self, digests: Sequence[str]) -> Iterator[tuple[str, JudgeAnswer]]:
        unique = sorted(set(digests))
        for start in range(0, len(unique), LOOKED_UP):
            rows = Judgement.objects.filter(
                workspace=self._connection.workspace_id, digest__in=unique[start : start + LOOKED_UP]
            )
            yield from ((row.digest, JudgeAnswer(row.text, _took(row))) for row in rows)

    def _ask(self, missing: dict[str, Question]) -> Iterator[tuple[str, JudgeAnswer | JudgeError]]:
        try:
            platform = platform_for(self._connection)
        except PlatformError as error:
            yield from ((mark, JudgeError(_said(error))) for mark in missing)
            return

        def ask(mark: str) -> Sample:
            request = _request(missing[mark], self._model(missing[mark]))
            try:
                return platform.sample(request)
            except PlatformError as error:
                if error.status != 400 or "response_format" not in str(error):
                    raise
            return platform.sample(request.model_copy(update={"response_format": None}))

        answered = set()
        refused: list[str] = []
        allowed = self._allowed(missing, refused)
        for mark, sample in run_pool(allowed, ask, should_stop=self._should_stop, longest=PATIENT):
            answered.add(mark)
            if isinstance(sample, PlatformError):
                self._free(mark, missing[mark])
                if isinstance(sample, NotYet):
                    self._later(sample)
                elif sample.retryable and self._should_stop():  # it would have been asked again
                    self._later(NotYet(str(sample), 0.0))
                yield mark, JudgeError(_said(sample))
                continue
            self.asked += 1
            self.usage = Usage(
                prompt_tokens=self.usage.prompt_tokens + sample.usage.prompt_tokens,
                completion_tokens=self.usage.completion_tokens + sample.usage.completion_tokens,
            )
            yield mark, self._answer(mark, missing[mark], sample)
        why = refused[0] if refused else "The judge was not asked: the work was stopped."
        left = [mark for mark in missing if mark not in answered]
        if left and not refused:
            self._later(NotYet(why, 0.0))
        yield from ((mark, JudgeError(why)) for mark in left)

    def _allowed(self, missing: dict[str, Question], refused: list[str]) -> Iterator[str]:
        """Questions for which there is money, in order; the sentence of the cap that ends them goes to ``refused``."""
        for mark, question in missing.items():
            try:
                if self._account is not None:
                    self._keys[mark] = f"judge:{uuid4().hex}"  # asked again it costs again
                    most = expenses.most_tokens(_request(question, self._model(question)))
                    expenses.hold(self._paying(question), self._keys[mark], *most)
            except expenses.CapReached as reached:
                refused.append(str(reached))
                return
            yield mark

    def _paying(self, question: Question) -> expenses.Account:
        assert self._account is not None
        model = self._model(question)
        if model not in self._accounts:
            self._accounts[model] = self._account.of(Purpose.JUDGE, self._connection, model)
        return self._accounts[model]

    def _free(self, mark: str, question: Question) -> None:
        if self._account is not None:
            expenses.free(self._paying(question), self._keys[mark])

    def _answer(self, mark: str, question: Question, sample: Sample) -> JudgeAnswer | JudgeError:
        answer = sample.answers[0]
        refused = answer.finish_reason == "content_filter" or not answer.text.strip()
        text = "" if refused else _object_in(answer.text)
        used = sample.usage
        with transaction.atomic():
            if self._account is not None:
                expenses.settle(self._paying(question), self._keys[mark], used.prompt_tokens, used.completion_tokens)
            if not refused and read_judgement(text)[0] is not None:  # anything else may be better the next time
                self._keep(mark, question, text, used)
        if refused:
            return JudgeError("The judge refused to answer.", refused=True)
        return JudgeAnswer(text, used)

    def _keep(self, mark: str, question: Question, text: str, used: Usage) -> None:
        made = Judgement(
            workspace_id=self._connection.workspace_id,
            digest=mark,
            model=self._model(question),
            text=text.replace("\0", ""),
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
        )
        Judgement.objects.bulk_create([made], ignore_conflicts=True)


def judge_of(
    workspace: Workspace,
    *,
    repeat: int = 0,
    account: Account | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    later: Callable[[NotYet], None] = lambda _: None,
) -> Judge:
    """The judge of the workspace's first connection that names one; else one that says that there is none."""
    connection = with_role(workspace, "judge")
    if connection is None:
        return no_judge
    return ConnectionJudge(connection, repeat=repeat, account=account, should_stop=should_stop, later=later)


@contextmanager
def open_for(
    workspace: Workspace,
    config: JsonDict | GraderSpec,
    *,
    repeat: int = 0,
    limits: Limits | None = None,
    account: Account | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    later: Callable[[NotYet], None] = lambda _: None,
) -> Iterator[Grader]:
    """``open_grader`` with the judge of ``workspace``, paid from ``account``; raises what it raises."""
    judge = judge_of(workspace, repeat=repeat, account=account, should_stop=should_stop, later=later)
    with open_grader(config, judge=judge, limits=limits) as grader:
        yield grader


def asks_a_judge(config: JsonDict | GraderSpec) -> bool:
    """Whether grading with it asks a model, and so sends answers somewhere and may cost money."""
    spec = parse_grader(config) if isinstance(config, dict) else config
    return any(isinstance(child, ScoreModelSpec) for child in children(spec).values())


def _request(question: Question, model: str) -> SampleRequest:
    given = question.sampling_params
    tokens = given.get("max_completions_tokens") or given.get("max_completion_tokens") or MAX_TOKENS
    seed = given.get("seed")
    return SampleRequest(
        model=model,
        messages=question.messages,
        temperature=float(given.get("temperature") or 0.0),
        max_tokens=int(tokens),
        seed=seed if isinstance(seed, int) else None,
        response_format={"type": "json_schema", "json_schema": question.schema},
    )


def _took(row: Judgement) -> Usage:
    return Usage(prompt_tokens=row.prompt_tokens, completion_tokens=row.completion_tokens)


def _object_in(text: str) -> str:
    """The JSON object of an answer that models without structured output like to wrap in words or fences."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text.strip()


def _said(error: PlatformError) -> str:
    return f"The judge gave no answer: {scrub(str(error))}"
