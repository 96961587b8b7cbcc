"""Where the project and its data are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
SHARED = ROOT.parent / "shared" / "data"  # data sets that do not ship; a test that needs one skips where it is absent
FIXTURES = ROOT / "tests" / "fixtures"
