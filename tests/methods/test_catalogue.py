"""The names of methods, read without importing them, are those of the methods."""

from skedastic.methods import discover
from skedastic.methods.catalogue import method_classes, method_names
from skedastic.methods.presets import presets


def test_the_names_are_those_of_the_presets() -> None:
    assert method_names() == tuple(presets())


def test_the_classes_are_those_that_are_discovered() -> None:
    assert method_classes() == {cls.__name__: cls.__module__ for cls in discover().values()}
