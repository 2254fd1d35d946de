"""Tokens that the platform signs for itself."""

import pytest
from perijove_platform.sessions.tokens import InvalidToken, sign, verify

SECRET = b"s" * 32


def test_what_was_signed_is_read_back() -> None:
    token, expires_at = sign(SECRET, "pjsession", {"user": "jörg", "cluster": None}, seconds=600)
    assert verify(SECRET, "pjsession", token) == {"user": "jörg", "cluster": None, "exp": expires_at}


def test_a_token_that_is_not_ours_is_refused() -> None:
    token, _ = sign(SECRET, "pjsession", {"user": "a"}, seconds=600)
    other, _ = sign(SECRET, "pjpeer", {"user": "a"}, seconds=600)
    head, _, signature = token.partition(".")
    forged, _ = sign(b"t" * 32, "pjsession", {"user": "a"}, seconds=600)
    expired, _ = sign(SECRET, "pjsession", {"user": "a"}, seconds=0)
    bad = ["", "pjsession-", "pjsession-.", head, other, other.replace("pjpeer", "pjsession"), forged, expired]
    bad += [f"{head}x.{signature}", f"{head}.{signature[:-2]}", f"{head}.ä", token + "x" * 5000, f"{token}.{signature}"]
    for text in bad:
        with pytest.raises(InvalidToken):
            verify(SECRET, "pjsession", text)
