"""Credentials at rest open only in their own row, with a key the server has, unchanged."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from rft_project.connections.sealing import SealError, current_key_id, key_id_of, new_key, seal, unseal


def test_a_secret_comes_back_in_its_own_row():
    assert unseal(seal("sk-very-secret", "row/1"), "row/1") == "sk-very-secret"


def test_the_same_secret_is_sealed_differently_every_time():
    assert seal("x", "row/1") != seal("x", "row/1")


def test_a_value_moved_to_another_row_does_not_open():
    with pytest.raises(SealError, match="changed or moved"):
        unseal(seal("secret", "row/1"), "row/2")


@pytest.mark.parametrize("planted", ["secret", "", "v1.zzz", "v1.aaaaaaaa.!!!!", "a.b.c.d"])
def test_planted_text_is_never_handed_back(planted):
    with pytest.raises(SealError):
        unseal(planted, "row/1")


def test_a_changed_value_does_not_open():
    sealed = seal("secret", "row/1")
    flipped = sealed[:-4] + ("A" if sealed[-4] != "A" else "B") + sealed[-3:]
    with pytest.raises(SealError):
        unseal(flipped, "row/1")


def test_old_keys_still_open_and_the_first_one_seals(settings):
    old, new = new_key(), new_key()
    settings.FIELD_ENCRYPTION_KEYS = [old]
    sealed = seal("secret", "row/1")
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    assert unseal(sealed, "row/1") == "secret"
    assert key_id_of(seal("secret", "row/1")) == current_key_id() != key_id_of(sealed)
    settings.FIELD_ENCRYPTION_KEYS = [new]
    with pytest.raises(SealError, match="does not have"):
        unseal(sealed, "row/1")


@pytest.mark.parametrize("keys", [[], ["short"], ["c2hvcnQ="]])
def test_a_server_without_a_proper_key_says_which_setting(settings, keys):
    settings.FIELD_ENCRYPTION_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEYS"):
        seal("secret", "row/1")
