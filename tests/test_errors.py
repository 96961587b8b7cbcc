"""Errors: one line each, whatever is shown, with fields that cross and are kept."""

import copy
import pickle

import pytest

from skedastic.errors import UserError


class Silent:
    """A value that can't be written."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value", ["a\nb", "a\rb", "a\x0bb", "a\u2028b", type("Lines", (), {"__repr__": lambda _: "a\u2028b"})()]
)
def test_a_message_is_one_line(value: object) -> None:
    assert len(str(UserError("must be short", setting="name", value=value)).splitlines()) == 1


@pytest.mark.parametrize(("value", "shown"), [(Silent(), "<Silent>"), (10**5000, "<int>")], ids=["silent", "digits"])
def test_a_value_that_can_not_be_written_is_shown_by_its_type(value: object, shown: str) -> None:
    assert str(UserError("must be short", setting="name", value=value)) == f"name={shown}: must be short"


def test_fields_are_kept_by_copies_and_by_what_is_added() -> None:
    error = UserError("must be short", setting="name", value=3)
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error)), error.at("a.csv"), error.adding("; cut it")):
        assert other.value == 3
    assert (error.at("a.csv").setting, str(error.at("a.csv"))) == ("a.csv, name", "a.csv: name=3: must be short")
    assert error.adding("; cut it").rule == "must be short; cut it"


def test_a_setting_gets_the_name_that_the_user_gave_it() -> None:
    error = UserError("must be short", setting="har.lam", value=3).of("method.lam")
    assert (error.setting, str(error)) == ("method.lam", "method.lam=3: must be short")


def test_a_rule_that_names_all_stands_alone() -> None:
    error = UserError("erm is not for regression", setting="method", value="erm", given="")
    assert (str(error), error.setting, error.value) == ("erm is not for regression", "method", "erm")
