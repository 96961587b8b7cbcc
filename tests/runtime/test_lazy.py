"""Names that are imported when they are first used."""

import sys
from pathlib import Path

import pytest

from skedastic.runtime.lazy import lazy

PACKAGE = '''"""A package."""
from typing import TYPE_CHECKING

from skedastic.runtime.lazy import lazy

if TYPE_CHECKING:
    from parcel.inside import Thing as Thing
    from parcel.inside import other as other

__getattr__, __dir__ = lazy(__name__)
'''


@pytest.fixture
def parcel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "parcel").mkdir()
    (tmp_path / "parcel" / "__init__.py").write_text(PACKAGE)
    (tmp_path / "parcel" / "inside.py").write_text("class Thing: pass\ndef other(): return 3\n")
    (tmp_path / "parcel" / "broken.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    import parcel  # type: ignore[import-not-found]  # it is written by this fixture

    yield parcel
    for name in [name for name in sys.modules if name.partition(".")[0] == "parcel"]:
        del sys.modules[name]


def test_a_name_imports_the_module_that_has_it(parcel) -> None:
    assert {"Thing", "other"} < set(dir(parcel))
    assert "parcel.inside" not in sys.modules
    from parcel import Thing

    assert Thing is sys.modules["parcel.inside"].Thing
    assert parcel.other() == 3


def test_a_module_is_there_by_its_name(parcel) -> None:
    assert lazy("parcel")[0]("inside").other() == 3


def test_an_unknown_name_is_an_attribute_error(parcel) -> None:
    with pytest.raises(AttributeError, match="module 'parcel' has no attribute 'nothing'"):
        _ = parcel.nothing
    with pytest.raises(ImportError):
        from parcel import nothing  # noqa: F401


def test_a_module_that_can_not_be_imported_says_why(parcel) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        _ = parcel.broken
