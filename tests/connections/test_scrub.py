from __future__ import annotations

import io
import logging

import pytest

from rft_project.connections.scrub import SecretFilter, scrub


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("key sk-abcdEFGH12345678 refused", "key *** refused"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ***"),
        ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("password=hunter2222 given", "password=*** given"),
        ('{"api_key": "no-known-shape-123"}', '{"api_key": "***"}'),
        ("secret_access_key = wJalrXUtnFEMI/K7MDENG", "secret_access_key = ***"),
        ("authorization: bearer abc.def-ghi_jkl", "authorization: bearer ***"),
        ("ASIAIOSFODNN7EXAMPLE", "***"),
        ("nothing to hide, skating on 5 records", "nothing to hide, skating on 5 records"),
    ],
)
def test_credentials_are_replaced_and_the_rest_is_kept(text, clean):
    assert scrub(text) == clean


def test_a_secret_among_the_arguments_never_reaches_the_log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(SecretFilter())
    logger = logging.Logger("scrubbed")
    logger.addHandler(handler)
    logger.warning("call with %s failed", "sk-abcdEFGH12345678")
    assert stream.getvalue() == "call with *** failed\n"


def test_a_secret_in_a_traceback_never_reaches_the_log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(SecretFilter())
    logger = logging.Logger("scrubbed")
    logger.addHandler(handler)
    try:
        raise ValueError("refused sk-abcdEFGH12345678")
    except ValueError:
        logger.exception("it broke")
    assert stream.getvalue().endswith("ValueError: refused ***\n")
    assert "Traceback" in stream.getvalue()
