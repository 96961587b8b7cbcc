"""The default network for images: its sizes, what it costs, and the settings of training that suit it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from skedastic import models
from skedastic.models.inputs import Inputs
from tests.support.refusals import refused


def image(*shape: int) -> Inputs:
    return Inputs(kind="image", shape=shape)


@pytest.mark.parametrize(
    ("shape", "last"),
    [((3, 32, 32), 4), ((1, 28, 28), 4), ((1, 8, 8), 2), ((1, 5, 9), 3), ((3, 64, 64), 4), ((3, 224, 224), 4)],
)
def test_the_last_map_has_a_few_pixels_a_side(shape: tuple[int, int, int], last: int) -> None:
    net = models.make("convnet", image(*shape), 3)
    sides = list[int]()
    next(m for m in net.modules() if isinstance(m, nn.AdaptiveAvgPool2d)).register_forward_pre_hook(
        lambda _, x: sides.append(min(x[0].shape[2:]))
    )
    assert net(torch.rand(2, *shape)).shape == (2, 3)
    assert sides == [last]


def test_an_image_costs_about_the_same_whatever_its_size() -> None:
    def multiplications(side: int) -> float:
        with FlopCounterMode(display=False) as counter:
            models.make("convnet", image(3, side, side), 10)(torch.rand(2, 3, side, side))
        return counter.get_total_flops() / 4

    assert multiplications(32) == pytest.approx(5.5e6, rel=0.02)
    assert all(multiplications(side) < 3.2 * multiplications(32) for side in (64, 95, 96, 128, 191, 224, 512))


def test_training_follows_the_rows() -> None:
    found = [models.training_of("convnet", image(3, 32, 32), rows) for rows in (1000, 3000, 20_000, 10**6)]
    assert [(f["epochs"], f["batch_size"]) for f in found] == [(40, 32), (40, 64), (20, 128), (10, 128)]
    assert {f["channels_last"] for f in found} == {True}
    assert "threads" not in found[0], "two are faster"
    assert models.training_of("convnet", image(1, 8, 8), 1000)["threads"] == 1


def test_auto_is_convnet_without_an_accelerator_and_resnet_with_one() -> None:
    shapes = ((3, 32, 32), (1, 8, 8), (1, 3, 9))
    assert [models.choose(image(*s)) for s in shapes] == ["convnet", "convnet", "mlp"]
    assert [models.choose(image(*s), accelerated=True) for s in shapes] == ["resnet32", "convnet", "mlp"]


def test_an_input_that_is_no_image_is_refused() -> None:
    with refused("model", "convnet", rule="images"):
        models.make("convnet", Inputs.plain((7,)), 2)
