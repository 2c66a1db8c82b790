"""What a jailed grader may do, and how its failures are told and survived."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graders_app.core.jail import JailUnavailable, Limits, PythonJail, SourceRefused

BRIEF = Limits(wall_seconds=0.3)
ROOT = Path(__file__).resolve().parents[4]
LENGTH = "def grade(sample, item):\n    return len(sample['output_text']) / 10\n"
#: Sleeps where the answer says so.
SLEEPY = """
import time

def grade(sample, item):
    if sample["output_text"] == "sleep":
        time.sleep(60)
    return 0.5
"""


def answers(*texts: str) -> list[tuple[dict, dict]]:
    return [({"output_text": text}, {}) for text in texts]


def process_status(pid: int | None) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def exists(pid: int) -> bool:
    try:
        return process_status(pid)["State"][0] != "Z"
    except OSError:
        return False


def test_scores_come_back_in_order():
    with PythonJail(LENGTH) as jail:
        replies = jail.grade_many(answers("a", "", "abcde", "ab"))

    assert [reply.score for reply in replies] == [0.1, 0.0, 0.5, 0.2]


def test_scores_are_clamped_to_0_and_1():
    with PythonJail("def grade(sample, item):\n    return float(sample['output_text'])\n") as jail:
        replies = jail.grade_many(answers("7", "-3", "0.25"))

    assert [reply.score for reply in replies] == [1.0, 0.0, 0.25]


def test_an_error_names_the_line_of_the_graders_own_code():
    source = """\
import json

def parse(text):
    return json.loads(text)

def grade(sample, item):
    return parse(sample["output_text"])["score"]
"""
    with PythonJail(source) as jail:
        bad_json, no_key = jail.grade_many(answers("{", "{}"))

    assert (bad_json.score, bad_json.line) == (None, 4)
    assert bad_json.error.startswith("Line 4: JSONDecodeError: Expecting property name")
    assert (no_key.line, no_key.error) == (7, "Line 7: KeyError: 'score'")


def test_the_libraries_of_hosted_graders_work():
    source = """
import re, json, math, datetime, statistics, difflib, unicodedata, hashlib, base64, random, decimal, csv, io
from collections import Counter
import numpy as np
import sklearn.metrics
import yaml
from rapidfuzz import fuzz, utils
from sklearn.feature_extraction.text import TfidfVectorizer
from pydantic import BaseModel
from xml.etree import ElementTree
import sympy
from scipy import stats

class Row(BaseModel):
    a: int

def grade(sample, item):
    datetime.datetime.strptime("2026-01-02", "%Y-%m-%d")
    assert np.random.default_rng(0).random() < 1
    assert np.linalg.norm([3, 4]) == 5
    assert TfidfVectorizer().fit_transform(["one two", "two three"]).shape == (2, 3)
    assert sklearn.metrics.f1_score([1, 0], [1, 0]) == 1
    assert yaml.safe_load("a: 1") == {"a": 1}
    assert Row(a="3").a == 3
    assert ElementTree.fromstring("<a>1</a>").text == "1"
    assert sympy.sympify("2*x + x") == 3 * sympy.Symbol("x")
    assert round(stats.spearmanr([1, 2, 3], [1, 2, 4]).statistic, 6) == 1
    return fuzz.WRatio(sample["output_text"], item["reference_answer"], processor=utils.default_process) / 100
"""
    with PythonJail(source, limits=Limits(wall_seconds=30)) as jail:
        reply = jail.grade({"output_text": "fuzzy wuzzy was a bear"}, {"reference_answer": "fuzzy wuzzy had no hair"})

    assert (reply.error, round(reply.score or 0, 4)) == ("", 0.7556)  # the hosted grader's own answer to this pair


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import json\nimport socket\n", "line 2: graders cannot import socket"),
        ("def grade(s, i):\n    from urllib.request import urlopen\n", "line 2: graders cannot import urllib.request"),
        ("from . import helper\n", "line 1: a grader is one file, it has no package to import from"),
        ("import rdkit\n", "line 1: the library rdkit is not installed on this server"),
        ("x = 'abc\n", "line 1: unterminated string literal (detected at line 1)"),
        ("x = 1\n\nraise ValueError('no labels')\n", "line 3: ValueError: no labels"),
        ("import math\n", "KeyError: 'grade'"),
    ],
)
def test_a_source_that_cannot_be_loaded_is_refused_with_its_line(source, message):
    with pytest.raises(SourceRefused) as refusal, PythonJail(source):
        pass

    assert str(refusal.value) == message


def test_one_time_out_costs_one_sample_and_one_restart():
    with PythonJail(SLEEPY, limits=BRIEF) as jail:
        first = jail.pid
        replies = jail.grade_many(answers(*["fast"] * 500, "sleep", *["fast"] * 499))
        second = jail.pid

    assert [reply.score for reply in replies] == [0.5] * 500 + [None] + [0.5] * 499
    assert replies[500].error == "The grader took longer than 0.3 s and was stopped."
    assert first != second
    assert not exists(first)


def test_it_gives_up_after_three_time_outs_in_a_row():
    with PythonJail(SLEEPY, limits=BRIEF) as jail:
        replies = jail.grade_many(answers("sleep", "sleep", "fast", "sleep", "sleep", "sleep", "fast", "fast"))
        later = jail.grade({"output_text": "fast"}, {})

    stopped = "The grader took longer than 0.3 s and was stopped."
    not_graded = "Not graded: 3 samples in a row took too long."
    assert [reply.error for reply in replies] == [stopped, stopped, "", *[stopped] * 3, not_graded, not_graded]
    assert later.error == not_graded


def test_it_gives_up_on_a_grader_that_always_ends_its_process():
    source = "import os\ndef grade(sample, item):\n    os._exit(3)\n"
    with PythonJail(source) as jail:
        replies = jail.grade_many(answers(*["x"] * 22))

    assert [reply.error for reply in replies] == [
        *["The grader ended its process (code 3)."] * 20,
        *["Not graded: the grader ended its process 20 times in a row."] * 2,
    ]


def test_a_source_that_cannot_be_loaded_again_ends_the_grading():
    source = f"""
import os, time
END = {time.time() + 2.5}
if time.time() > END:
    raise ValueError("too late")

def grade(sample, item):
    time.sleep(max(0, END - time.time()) + 0.1)
    os._exit(1)
"""
    with PythonJail(source, limits=Limits(wall_seconds=20)) as jail:
        first, second = jail.grade_many(answers("a", "b"))

    assert first.error == "The grader ended its process (code 1)."
    assert (second.error, second.line) == ("The source cannot be loaded: line 5: ValueError: too late.", 5)


def test_libraries_that_take_too_long_to_import_are_told():
    with pytest.raises(JailUnavailable) as refusal:
        PythonJail(LENGTH, limits=Limits(boot_seconds=0)).open()

    assert str(refusal.value) == "Python graders are off on this server: while starting, the grader took too long."


def test_a_process_that_died_while_idle_costs_no_sample():
    with PythonJail(LENGTH) as jail:
        os.kill(jail.pid, signal.SIGKILL)
        while exists(jail.pid or 0):
            time.sleep(0.01)
        assert jail.grade({"output_text": "abcde"}, {}).score == 0.5


def test_memory_is_limited_above_what_the_libraries_take():
    source = "import numpy as np\ndef grade(sample, item):\n    return float(len(np.zeros(item['mb'] << 17)) > 0)\n"
    with PythonJail(source, limits=Limits(wall_seconds=20, memory_bytes=128 << 20)) as jail:
        fits, too_much = jail.grade({}, {"mb": 64}), jail.grade({}, {"mb": 256})

    assert fits.score == 1.0
    assert too_much.error == "MemoryError: the grader used more memory than it may"


def test_error_text_is_fit_to_be_stored_and_shown():
    source = "def grade(sample, item):\n    raise ValueError('\\x00\\ud800\\x1b[31m\\n' + 'A' * 10_000_000)\n"
    with PythonJail(source, limits=Limits(wall_seconds=20)) as jail:
        error = jail.grade({}, {}).error

    assert error == f"Line 2: ValueError:  ? [31m {'A' * 480}"  # 500 characters of it
    assert error.isprintable()


def test_a_forged_line_number_is_not_believed():
    source = "import sys\ndef grade(sample, item):\n    exec(compile('\\n' * 90 + 'x', '<grader>', 'exec'))\n"
    with PythonJail(source) as jail:
        reply = jail.grade({}, {})

    assert (reply.line, reply.error) == (None, "NameError: name 'x' is not defined")


@pytest.mark.parametrize(
    ("sample", "error"),
    [
        ({"output_text": {1, 2}}, "The record or the answer is not JSON."),
        ({"output_text": "x" * (8 << 20)}, "The record and the answer are longer than 8 MB."),
    ],
)
def test_what_cannot_be_sent_is_our_failure_and_the_rest_is_graded(sample, error):
    with PythonJail("def grade(sample, item):\n    return 1.0\n") as jail:
        bad, good = jail.grade_many([(sample, {}), ({}, {})])

    assert (bad.score, bad.error, bad.ours) == (None, error, True)
    assert good.score == 1.0


def test_large_samples_pass_both_ways():
    with PythonJail("def grade(sample, item):\n    return len(sample['output_text']) / 4e6\n") as jail:
        replies = jail.grade_many(answers(*["x" * 2_000_000] * 4))

    assert [reply.score for reply in replies] == [0.5] * 4


def test_the_process_is_locked_and_belongs_to_nobody():
    with PythonJail(LENGTH) as jail:
        status = process_status(jail.pid)

    wanted = str(os.getuid() or 65534)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert status["Uid"].split() == [wanted] * 4
    assert status["CapEff"] == "0000000000000000"


def test_no_secret_of_the_parent_is_in_the_process():
    os.environ["JAIL_TEST_KEY"] = "CANARY"
    source = """\
import os, sys
def grade(sample, item):
    raise ValueError(f"{dict(os.environ)} {sys.argv} {os.getcwd()}")
"""
    try:
        with PythonJail(source) as jail:
            error = jail.grade({}, {}).error
    finally:
        del os.environ["JAIL_TEST_KEY"]

    assert error.startswith("Line 3: ValueError: {} [")
    assert "CANARY" not in error
    assert error.endswith(" /")


def test_two_graders_side_by_side_stay_apart():
    def score(name: str) -> set[float | None]:
        source = f"""\
seen = []
def grade(sample, item):
    seen.append(sample["name"])
    return float(set(seen) == {{{name!r}}})
"""
        with PythonJail(source) as jail:
            return {reply.score for reply in jail.grade_many([({"name": name}, {})] * 500)}

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(score, ["first", "second"])) == [{1.0}, {1.0}]


def test_threads_may_share_one_jail():
    with PythonJail(LENGTH) as jail, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda size: jail.grade({"output_text": "x" * size}, {}).score, range(40)))

    assert replies == [min(1.0, size / 10) for size in range(40)]


def test_it_outlives_the_thread_that_opened_it():
    """The kernel kills the process when the thread that started it ends, so a thread of its own starts them all."""
    opened: list[PythonJail] = []
    thread = threading.Thread(target=lambda: opened.append(PythonJail(LENGTH).open()))
    thread.start()
    thread.join()
    pid = opened[0].pid
    time.sleep(0.2)

    assert opened[0].grade({"output_text": "abc"}, {}).score == 0.3
    assert opened[0].pid == pid
    opened[0].close()
    assert not exists(pid)


def test_killing_the_parent_ends_the_grader():
    script = (
        "import sys\nfrom graders_app.core.jail import PythonJail\n"
        "jail = PythonJail('def grade(s, i):\\n    while True: pass\\n').open()\n"
        "print(jail.pid, flush=True)\njail.grade({}, {})\nsys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert exists(pid)
    parent.kill()
    parent.communicate()

    deadline = time.monotonic() + 5
    while exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not exists(pid)


def test_after_a_fork_the_child_starts_a_process_of_its_own():
    script = """
import os
from graders_app.core.jail import PythonJail
jail = PythonJail("def grade(sample, item):\\n    return 0.5\\n").open()
first = jail.pid
child = os.fork()
if child == 0:
    ok = jail.grade({}, {}).score == 0.5 and jail.pid != first
    jail.close()
    os._exit(0 if ok else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, jail.grade({}, {}).score, jail.pid == first)
jail.close()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr) == ("0 0.5 True\n", "")


def test_memory_of_the_parent_stays_flat():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    batch = answers(*["some answer"] * 1000)
    with PythonJail(LENGTH) as jail:
        jail.grade_many(batch)
        before = resident()
        for _ in range(10):
            jail.grade_many(batch)
        assert resident() - before < 8 << 20
