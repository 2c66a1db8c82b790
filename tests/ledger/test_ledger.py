"""The rules of the ledger, against a platform of a few lines with lists that lag and answers that get lost."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rft_project.connections.models import AuditEntry, Connection, Workspace
from rft_project.ledger import decisions
from rft_project.ledger import services as ledger
from rft_project.ledger.models import ExternalCall, State
from rft_project.platforms.errors import PlatformError, Unknown

pytestmark = pytest.mark.django_db(transaction=True)
GRACE = 900.0
CRASHES = ("killed before", "killed after")


class Killed(BaseException):
    """The process is gone: nothing after this line runs in it."""


class Shop:
    """Makes a thing for each call that reaches it. ``faults``: what happens to the next calls, in order."""

    def __init__(self, lag: float = 0.0) -> None:
        self.lag, self.clock, self.sent = lag, 0.0, 0
        self.made: dict[str, float] = {}
        self.gone: list[str] = []
        self.faults: list[str] = []
        self.closed = ""

    def send(self) -> str:
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "killed before":
            raise Killed
        if fault == "refused":
            raise PlatformError("It asks for fewer requests.", retryable=True, status=429)
        if fault == "lost before":
            raise Unknown("It failed (HTTP 500).", retryable=True, status=500)
        self.sent += 1
        name = f"thing-{self.sent}"
        self.made[name] = self.clock
        if fault == "killed after":
            raise Killed
        if fault == "lost after":
            raise Unknown("The connection broke.", retryable=True)
        return name

    def find(self) -> list[str]:
        if self.closed:
            raise PlatformError(self.closed, retryable=self.closed.startswith("busy"))
        return [name for name, at in self.made.items() if self.clock - at >= self.lag]

    def discard(self, name: str) -> None:
        self.gone.append(name)

    @property
    def live(self) -> list[str]:
        return [name for name in self.made if name not in self.gone]

    def wait(self, seconds: float) -> None:
        """Time passes, there and here."""
        self.clock += seconds
        back = timedelta(seconds=seconds)
        ExternalCall.objects.update(sent_at=F("sent_at") - back, confirmed_at=F("confirmed_at") - back)


@pytest.fixture
def connection(workspace: Workspace) -> Connection:
    return a_connection(workspace)


def a_connection(workspace: Workspace, kind: str = "openai") -> Connection:
    made = Connection(workspace=workspace, kind=kind, name=kind)
    made.set_credentials({"api_key": "sk-test-0123456789"})
    made.save()
    return made


def once(connection: Connection, shop: Shop, key: str = "k", content: str = "c") -> str:
    journal = ledger.journal(connection, key, "training of First run")
    return journal.once("start", content, prepare=lambda: shop.send, find=shop.find, discard=shop.discard)


def row() -> ExternalCall:
    return ExternalCall.objects.get()


def audited() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))


def test_a_call_is_made_once_and_known_from_then_on(connection: Connection) -> None:
    shop = Shop()
    assert [once(connection, shop), once(connection, shop)] == ["thing-1", "thing-1"]
    found = row()
    assert (found.state, found.attempts, found.remote_id, shop.sent) == (State.CONFIRMED, 1, "thing-1", 1)
    assert (str(found), found.said, audited()) == ("start for training of First run", "", [])
    assert found.looked_at is not None


def test_the_row_is_committed_before_the_call_leaves(connection: Connection) -> None:
    seen: list[tuple[str, int]] = []

    def send() -> str:
        def look() -> None:
            seen.extend(ExternalCall.objects.values_list("state", "attempts"))
            connections.close_all()

        other = threading.Thread(target=look)
        other.start()
        other.join()
        return "thing"

    ledger.journal(connection, "k", "s").once("start", "c", prepare=lambda: send, find=list)
    assert seen == [(State.SENT, 1)]


def test_no_call_is_made_inside_a_transaction(connection: Connection) -> None:
    shop = Shop()
    with pytest.raises(RuntimeError), transaction.atomic():
        once(connection, shop)
    assert shop.sent == 0


def test_a_refusal_makes_nothing_and_may_be_tried_again(connection: Connection) -> None:
    shop = Shop()
    shop.faults = ["refused"] * 5
    for _ in range(5):
        with pytest.raises(PlatformError, match="fewer requests"):
            once(connection, shop)
    assert (row().state, row().attempts, row().said) == (State.REJECTED, 0, "It asks for fewer requests.")
    assert once(connection, shop) == "thing-1"


@pytest.mark.parametrize("how", ["killed after", "lost after"])
def test_what_was_made_without_an_answer_is_found_and_taken(connection: Connection, how: str) -> None:
    shop = Shop(lag=30.0)
    shop.faults = [how]
    with pytest.raises((Killed, Unknown)):
        once(connection, shop)
    with pytest.raises(Unknown) as waiting:
        once(connection, shop)
    assert str(waiting.value) == (
        "OpenAI did not say whether the training started; looking again in 2 minutes so that nothing is paid twice."
    )
    assert waiting.value.retry_after == ledger.LOOK_EVERY
    shop.wait(60.0)
    assert once(connection, shop) == "thing-1"
    assert (row().attempts, shop.sent, audited()) == (1, 1, ["found an earlier call"])


def test_after_the_grace_it_is_sent_once_more_and_then_a_person_decides(connection: Connection, owner: Any) -> None:
    shop = Shop()
    shop.faults = ["lost before", "lost before"]
    for _ in range(2):
        with pytest.raises(Unknown):
            once(connection, shop)
        with pytest.raises(Unknown):
            once(connection, shop)  # no second request before the grace is over
        shop.wait(GRACE + 1)
    with pytest.raises(PlatformError) as asks:
        once(connection, shop)
    assert (type(asks.value), asks.value.retryable, row().state) == (PlatformError, False, State.UNKNOWN)
    assert str(asks.value) == (
        "OpenAI did not say whether the training started, twice, and its list does not show it. It said: It failed "
        "(HTTP 500). Look there for training of First run, then let an operator enter what you found (admin, external "
        f"calls, number {row().pk}); nothing is sent until then."
    )
    assert shop.sent == 0
    decisions.not_there(row(), by=owner)
    assert once(connection, shop) == "thing-1"
    assert list(AuditEntry.objects.values_list("action", "actor")) == [("call is not there", owner.pk)]


def test_a_person_may_enter_what_was_found(connection: Connection, owner: Any) -> None:
    shop = Shop(lag=GRACE * 9)
    shop.faults = ["killed after"]
    with pytest.raises(Killed):
        once(connection, shop)
    with pytest.raises(decisions.Refused, match="Enter the platform's id"):
        decisions.is_there(row(), "  ", by=owner)
    decisions.is_there(row(), " thing-1 ", by=owner)
    assert (once(connection, shop), shop.sent) == ("thing-1", 1)
    with pytest.raises(decisions.Refused, match="Nothing is open about the start for training of First run"):
        decisions.not_there(row(), by=owner)


def test_the_oldest_of_several_stays(connection: Connection) -> None:
    """A list that lags for longer than the grace: the second is made, and taken back as soon as both are seen."""
    shop = Shop(lag=GRACE + 60)
    shop.faults = ["killed after", "killed after"]
    with pytest.raises(Killed):
        once(connection, shop)
    shop.wait(GRACE + 1)
    with pytest.raises(Killed):
        once(connection, shop)
    shop.wait(GRACE * 2)
    assert (once(connection, shop), shop.live) == ("thing-1", ["thing-1"])
    assert audited() == ["found an earlier call", "took back one made twice"]


def test_after_an_answer_the_list_is_read_once_more(connection: Connection) -> None:
    shop = Shop(lag=GRACE + 60)
    shop.faults = ["killed after"]
    with pytest.raises(Killed):
        once(connection, shop)
    shop.wait(GRACE + 1)
    shop.made["thing-0"] = -2 * GRACE  # shows between the look before and the look after
    journal, shown = ledger.journal(connection, "k", "s"), [[], ["thing-1", "thing-2"]]
    made = journal.once("start", "c", prepare=lambda: shop.send, find=lambda: shown.pop(0), discard=shop.discard)
    assert (made, shop.gone) == ("thing-1", ["thing-2"])


def test_a_list_that_cannot_be_read_changes_nothing(connection: Connection) -> None:
    shop = Shop()
    shop.closed = "busy"
    with pytest.raises(PlatformError) as first:
        once(connection, shop)
    assert (type(first.value), row().state) == (PlatformError, State.PLANNED)
    shop.closed, shop.faults = "", ["killed before"]
    with pytest.raises(Killed):
        once(connection, shop)
    shop.wait(GRACE + 1)
    shop.closed = "busy"
    with pytest.raises(Unknown):
        once(connection, shop)
    shop.closed = "The key was withdrawn."
    with pytest.raises(PlatformError, match="withdrawn"):
        once(connection, shop)
    assert (row().state, shop.sent) == (State.SENT, 0)


def test_another_content_waits_for_the_one_that_was_not_answered(connection: Connection) -> None:
    shop = Shop(lag=60.0)
    shop.faults = ["killed after"]
    with pytest.raises(Killed):
        once(connection, shop, content="one")
    with pytest.raises(Unknown):
        once(connection, shop, content="two")
    shop.wait(61.0)
    assert (once(connection, shop, content="two"), shop.sent) == ("thing-1", 1)


def test_what_is_given_up_is_made_anew(connection: Connection) -> None:
    shop = Shop()
    once(connection, shop)
    shop.made.clear()
    ledger.release("k")
    assert (once(connection, shop), row().attempts) == ("thing-2", 1)


def test_a_refused_start_looks_again_for_what_was_uploaded_for_it(connection: Connection) -> None:
    shop = Shop()
    upload = ledger.journal(connection, "k", "s").once("upload train", "c", prepare=lambda: shop.send, find=list)

    def refuse() -> str:
        raise PlatformError("invalid training_file", status=400)

    for state in (State.CONFIRMED, State.RELEASED):  # a file of a moment ago is there, whatever the list says
        with pytest.raises(PlatformError, match="invalid"):
            ledger.journal(connection, "k", "s").once("start", "c", prepare=lambda: refuse, find=list)
        assert ExternalCall.objects.get(remote_id=upload).state == state
        shop.wait(GRACE + 1)


def test_what_is_gone_when_it_is_needed_is_made_anew_the_next_time(connection: Connection) -> None:
    """A grader's function that somebody deleted: the start is not even sent."""
    shop = Shop()
    journal = ledger.journal(connection, "k", "s")

    def prepare() -> Any:
        made = journal.once("publish grader", "c", prepare=lambda: shop.send, find=shop.find)
        if made not in shop.made:
            raise PlatformError(f"There is no {made}.", status=404)
        return lambda: f"job with {made}"

    prepare()
    shop.made.clear()
    shop.wait(GRACE + 1)
    with pytest.raises(PlatformError, match=r"There is no thing-1\."):
        journal.once("start", "c", prepare=prepare, find=list)
    assert journal.once("start", "c", prepare=prepare, find=list) == "job with thing-2"


def test_of_two_workers_one_sends(connection: Connection) -> None:
    shop, both, ends = Shop(), threading.Barrier(2, timeout=20), []

    def prepare() -> Any:
        both.wait()  # both have looked and found nothing
        return shop.send

    def work() -> None:
        try:
            ends.append(ledger.journal(connection, "k", "s").once("start", "c", prepare=prepare, find=list))
        except Unknown as error:
            ends.append(error.retry_after)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(map(str, ends)) == [str(ledger.BUSY_RETRY), "thing-1"]
    assert (shop.sent, row().attempts) == (1, 1)


def test_our_own_engine_is_waited_for_seconds_only(workspace: Workspace) -> None:
    shop = Shop()
    shop.faults = ["killed before"]
    connection = a_connection(workspace, "local")
    with pytest.raises(Killed):
        once(connection, shop)
    with pytest.raises(Unknown, match=r"Local engine did not say .* in 10 seconds"):
        once(connection, shop)
    shop.wait(11.0)
    assert once(connection, shop) == "thing-1"


def test_a_record_outlives_its_connection(connection: Connection) -> None:
    once(connection, Shop())
    connection.delete()
    assert (row().connection, row().remote_id) == (None, "thing-1")


FAULTS = st.sampled_from(["ok", "refused", "lost before", "lost after", "killed before", "killed after"])


@given(
    faults=st.lists(FAULTS, max_size=8),
    waits=st.lists(st.sampled_from([0.0, 1.0, 120.0, GRACE + 1]), min_size=30, max_size=30),
    lag=st.sampled_from([0.0, 30.0, GRACE]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_dies_there_is_one(connection: Connection, faults: list[str], waits: list[float], lag: float) -> None:
    """With lists that lag for no longer than the grace; a person who is asked looks at the truth."""
    ExternalCall.objects.all().delete()
    shop = Shop(lag)
    shop.faults = list(faults)
    made = ""
    for seconds in [*waits, *[GRACE + 1] * 9]:
        try:
            made = once(connection, shop)
            break
        except PlatformError as error:
            if not error.retryable:
                decide(shop)
        except Killed:
            pass
        shop.wait(seconds)
    assert (list(shop.made), shop.gone) == ([made], [])
    assert (row().state, row().remote_id) == (State.CONFIRMED, made)


def decide(shop: Shop) -> None:
    if shop.made:
        decisions.is_there(row(), next(iter(shop.made)), by=None)
    else:
        decisions.not_there(row(), by=None)
