"""Commands in messages can be pasted: whatever a folder is called, the shell reads its name as one word."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from skedastic.cli.trust import check_config
from skedastic.errors import UserError
from skedastic.runs.folder import STATE, check_not_interrupted, unfinished
from skedastic.runs.unfinished import kept_until_whole, resumable
from skedastic.runs.ways import way_on

NAME = "my 'runs'; echo $HOME"
OPTIONS = {"--resume", "--out", "--trust", "show"}  # words that a folder follows


def begun(run: Path) -> Path:
    kept = unfinished(run)
    (kept / "checkpoints").mkdir(parents=True)
    (kept / "checkpoints" / "1-train.safetensors").touch()
    (kept / "config.toml").write_text("seed = 1")
    return kept


def interrupted(run: Path) -> None:
    begun(run)
    check_not_interrupted(run)


def begun_again(run: Path) -> None:
    begun(run)
    kept_until_whole(run).__enter__()


def whole_beside_interrupted(run: Path) -> None:
    begun(run)
    run.mkdir()
    (run / STATE).touch()
    resumable(run)


def of_the_other_verb(run: Path) -> None:
    begun(run)
    resumable(run, verb="compare")


def without_settings(run: Path) -> None:
    (begun(run) / "config.toml").write_bytes(b"")
    resumable(run)


def naming_code(run: Path) -> None:
    config = begun(run) / "config.toml"
    config.write_text('[model]\nname = "evil.py:make"')
    check_config(str(config), {"model": {"name": "evil.py:make"}}, None, None)


@pytest.mark.parametrize(
    "act",
    [interrupted, begun_again, whole_beside_interrupted, of_the_other_verb, without_settings, naming_code],
    ids=lambda act: act.__name__,
)
def test_every_folder_in_a_command_is_one_word(act: Callable[[Path], None], tmp_path: Path) -> None:
    run = tmp_path / NAME
    with pytest.raises(UserError) as caught:
        act(run)
    rule = caught.value.rule
    names = {str(run), str(unfinished(run))}
    assert any(shlex.quote(name) in rule for name in names), rule
    for name in names:
        for option in OPTIONS:
            assert f"{option} {name}" not in rule, f"a shell would read several words: {rule}"


def test_the_way_on_is_read_back_as_it_was_meant() -> None:
    assert shlex.split(way_on("fit", NAME)) == ["skedastic", "fit", "--resume", NAME]
    words = shlex.split(way_on("compare", Path(NAME), "my nets.py:make"))
    assert words == ["skedastic", "compare", "--resume", NAME, "--model", "my nets.py:make"]
