"""Wall times as settings write them."""

import math
from pathlib import Path

import pytest

from skedastic.settings.config import Config
from skedastic.settings.reading import read, to_toml
from skedastic.settings.wall_time import WallTime
from skedastic.training import TrainingConfig
from tests.support.refusals import refused


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), (" 2 h ", 7200), (".5m", 30), ("1e2s", 100)]
)
def test_seconds_minutes_and_hours(text, seconds) -> None:
    time = WallTime.read(text, "budget")
    assert time.seconds == pytest.approx(seconds)
    assert WallTime.read(time.written(), "budget") == time


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("10", "say 10m"),
        (10, "say 10m"),
        (2.5, "say 2.5m"),
        (math.nan, "say 10m"),
        (-3, "say 10m"),
        ("0s", "above 0"),
        ("-5m", "above 0"),
        ("nanm", "above 0"),
        ("nan", "above 0"),
        ("infh", "above 0"),
        ("1e999s", "above 0"),
        ("1e-999s", "above 0"),
        ("10min", "'min' is unknown"),
        ("10M", "'M' is unknown"),
        ("3d", "'d' is unknown"),
        ("1h30m", "such as"),
        ("ten minutes", "such as"),
        ("m", "such as"),
        ("", "such as"),
        (True, "such as"),
        (["10m"], "such as"),
    ],
)
def test_what_is_no_time_is_refused_with_the_way_out(given, rule) -> None:
    with refused("budget", rule=rule):
        Config(budget=given)
    with refused("budget", rule=rule):
        read(None, {"budget": given})


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    config = Config(budget="1.5h")
    (tmp_path / "config.toml").write_text(to_toml(config), "utf-8")
    assert read(tmp_path / "config.toml", {}) == config
    assert config.budget == WallTime("1.5h", 5400)
    assert Config(budget="none") == Config(budget=None) == Config()
    assert "budget" not in to_toml(Config())


def test_epochs_beside_it_are_refused() -> None:
    with refused("budget", "10m", rule="leave one of them out"):
        Config(budget="10m", train=TrainingConfig(epochs=3))
    with refused("budget", "10m", rule="train.epochs=3"):
        read(None, {"budget": "10m"}, ["train.epochs=3"])
