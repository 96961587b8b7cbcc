"""What a test expects of a refusal: the fields of the error, not its wording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import ANY

import pytest

from skedastic.errors import UserError


@contextmanager
def refused(setting: str, value: object = ANY, *, rule: str = "") -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Expect that the block raises UserError about this setting and value.

    `rule` is a few words of the rule. Give them only where setting and value don't tell which refusal it is.
    """
    with pytest.raises(UserError) as caught:
        yield caught
    check_refusal(caught.value, setting, value, rule=rule)


def check_refusal(error: UserError, setting: str, value: object = ANY, *, rule: str = "") -> None:
    """Assert that an error is about this setting and value, and that its message is one line."""
    assert (error.setting, error.value) == (setting, value), str(error)
    assert rule in error.rule, str(error)
    assert error.given or setting.rpartition(".")[2] in error.rule or str(error.value) in error.rule, (
        "no place is named"
    )
    assert "\n" not in str(error)
