"""`import skedastic as sk`: few names, and every method by the name of its class."""

import pytest

import skedastic as sk
from skedastic.methods import discover
from skedastic.pipeline import compare, fit
from skedastic.runtime.lazy import homes


def test_every_name_is_that_of_its_module() -> None:
    assert (sk.fit, sk.compare) == (fit, compare)
    assert all(getattr(sk, name).__module__ == home for name, home in homes("skedastic").items())


def test_every_method_is_there_by_the_name_of_its_class() -> None:
    for cls in discover().values():
        assert getattr(sk, cls.__name__) is cls
    assert {cls.__name__ for cls in discover().values()} < set(dir(sk))


def test_packages_are_there_and_nothing_else_is() -> None:
    assert sk.core.__name__ == "skedastic.core"
    with pytest.raises(AttributeError, match="has no attribute 'HARR'"):
        _ = sk.HARR
