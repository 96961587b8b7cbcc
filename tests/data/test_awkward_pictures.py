"""Each awkward picture and folder is read as its row says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skedastic.data import Source, open_source
from skedastic.errors import UserError
from tests.data.awkward_pictures import AWKWARD
from tests.support.awkward import AwkwardFolder


@pytest.mark.parametrize("awkward", AWKWARD, ids=str)
def test_what_is_done_with_it(awkward: AwkwardFolder, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    named = awkward.make(folder) or folder
    opened: Source | UserError
    try:
        opened = open_source(named)
        if opened.kind == "image":
            _ = opened.features[torch.arange(len(opened))]
    except UserError as error:
        opened = error
    assert not isinstance(opened, UserError) or (opened.setting and "\n" not in str(opened)), "a refusal is a line"
    awkward.holds(opened)
