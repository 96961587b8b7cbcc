"""The networks that are shipped: every one is discovered, reads its own kind of input, and no other."""

import pytest
import torch

from skedastic import models
from tests.support.refusals import refused

IMAGE = (3, 32, 32)


OF_IMAGES = [name for name, module in models.discover().items() if not hasattr(module, "READS")]


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_network_gives_logits_of_its_input_and_a_gradient_to_every_parameter(name) -> None:
    net = models.make(name, IMAGE, 7, {"width": 8})
    logits = net(torch.randn(4, *IMAGE))
    assert logits.shape == (4, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if name != "mlp"])
def test_an_input_that_is_no_image_is_refused(name) -> None:
    for shape in ((6,), (3, 2, 8)):
        with refused("model", name, rule="images [channels, height, width]"):
            models.make(name, shape, 3)


def test_sizes_are_as_documented() -> None:
    size = {
        name: sum(p.numel() for p in models.make(name, IMAGE, 10).parameters())
        for name in ("cnn", "convnet", "resnet32")
    }
    assert size == {"cnn": 94762, "convnet": 162994, "resnet32": 464154}
