"""Values that are nested too deeply: an option is named only where it helps."""

import pytest

from skedastic.runtime.plain_files import json_value
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("levels", "way"), [(300, "if you trust the file: --allow nesting=300"), *((n, "no option") for n in (600, 10**6))]
)
def test_the_option_that_is_named_is_one_that_is_taken(levels: int, way: str) -> None:
    with refused("place", rule=f"at most 100 are allowed; {way}"):
        json_value("[" * levels + "]" * levels, "place")
