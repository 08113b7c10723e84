"""What a test needs beside this suite. LANZA_REQUIRE names what must be there: a skip for want of it is a failure."""

import os
from typing import NoReturn

import pytest


def required(what: str) -> bool:
    return what in os.environ.get("LANZA_REQUIRE", "").replace(" ", "").split(",")


def left_out(what: str, reason: str) -> NoReturn:
    """Skips the test for want of something, or fails it where `LANZA_REQUIRE` names that."""
    if required(what):
        pytest.fail(f"LANZA_REQUIRE names {what}, but {reason}")
    pytest.skip(reason)
