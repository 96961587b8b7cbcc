"""ResNet-32 for small images (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2).

The network of both papers' CIFAR experiments: 3 stages of 5 blocks with 16, 32 and 64 channels, shortcuts without
parameters ("option A": every second pixel, zero channels), Kaiming-normal weights as in the HAR authors' code. 0.46 M
parameters for 10 classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.configurable import setting
from skedastic.models.options import ModelOptions
from skedastic.models.refusal import check_image


class Block(nn.Module):
    """Two 3 × 3 convolutions with BatchNorm, and a shortcut without parameters."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.padding = (channels - channels_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, channels_in, H, W] to [B, channels, H / stride, W / stride]."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        if self.stride != 1 or self.padding:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return F.relu(out + x, inplace=True)


class ResNet(nn.Module):
    """A CIFAR ResNet of 6·blocks + 2 layers."""

    def __init__(self, channels_in: int, classes: int, blocks: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        stages = [
            nn.Sequential(
                *(Block(max(c // stride, width) if i == 0 else c, c, stride if i == 0 else 1) for i in range(blocks))
            )
            for c, stride in ((width, 1), (2 * width, 2), (4 * width, 2))
        ]
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, channels, H, W] to logits [B, classes]."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: Tensor = self.linear(out.mean((2, 3)))
        return logits


@dataclass(frozen=True, kw_only=True)
class Options(ModelOptions):
    """The sizes of the network."""

    blocks: int = setting(5, "blocks of each of the three stages; 5 makes 32 layers", "[1, inf)")
    width: int = setting(16, "channels of the first stage; the next two have twice and four times as many", "[1, inf)")


def build(input_shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return a ResNet of 6·blocks + 2 layers (32) whose first stage has `width` channels.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, height, width) with sides of at least 4 pixels.
    classes : int
        The size of the output, [B, classes].
    options : Options
        Blocks and width.

    Raises
    ------
    UserError
        The input is no image, or a smaller one.
    """
    check_image("resnet32", input_shape)
    return ResNet(input_shape[0], classes, options.blocks, options.width)
