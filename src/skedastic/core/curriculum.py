"""MentorNet's curriculum: the weights of examples by their losses, and the small network that imitates it.

Source: Jiang, Zhou, Leung, Li, Fei-Fei, "MentorNet: Learning Data-Driven Curriculum for Very Deep Neural Networks on
Corrupted Labels", ICML 2018, equations 5 and 6. `methods.mentornet` compares it with the authors' code.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERCENT = 100  # epochs as the mentor counts them
LINEAR_FROM = 90  # of them
STEPS, SIZE, RATE = 1000, 512, 0.1  # of imitating the curriculum: steps, features in each, the first learning rate


def self_paced(difference: Tensor, percent: Tensor | int, width: float) -> Tensor:
    """Return the predefined curriculum's weights, [B] in [0, 1].

    Parameters
    ----------
    difference : Tensor
        How far the losses are above λ₁, [B].
    percent : Tensor or int
        Of the epochs that have passed, 0..99, one number or [B].
    width : float
        λ₂, the range in which weights fall from 1 to 0 in the last tenth of the epochs; 0 is a step there too.
    """
    step = (difference <= 0).to(difference.dtype)
    if width == 0:
        return step
    late = torch.as_tensor(percent, device=difference.device) >= LINEAR_FROM
    return torch.where(late, (1 - difference / width).clamp(0, 1), step)


def moved_percentile(average: Tensor, losses: Tensor, percentile: float, decay: float) -> Tensor:
    """Return λ₁ after a batch, a scalar: decay · λ₁ + (1 − decay) · the percentile (of nearest rank) of the losses.

    Parameters
    ----------
    average : Tensor
        λ₁ before it, a scalar.
    losses : Tensor
        Of the batch, [B].
    percentile : float
        In (0, 1).
    decay : float
        In [0, 1).
    """
    return decay * average + (1 - decay) * losses.quantile(percentile, interpolation="nearest")


def kept_at_random(n: int, rate: float) -> Tensor:
    """Return 1 for ⌊(1 − rate) n⌋ of n examples, at least one, by torch's generator, and 0 for the others, [n].

    Parameters
    ----------
    n : int
        The number of examples.
    rate : float
        The share that is left out, in [0, 1).
    """
    kept = torch.zeros(n)
    kept[torch.randperm(n)[: max(int((1 - rate) * n + 1e-9), 1)]] = 1
    return kept


class Mentor(nn.Module):
    """From an example's loss, its difference from λ₁, its label and the epoch to the logit of its weight.

    Parameters
    ----------
    labels : int
        How many labels there are.
    hidden : int
        Units of the hidden layer.
    """

    of_epoch: Tensor

    def __init__(self, labels: int, hidden: int = 20) -> None:
        super().__init__()
        self.of_label = nn.Embedding(labels, 2)
        nn.init.zeros_(self.of_label.weight)
        self.register_buffer("of_epoch", nn.init.xavier_uniform_(torch.empty(PERCENT, 5)))
        self.gate, self.candidate = nn.Linear(2, 2), nn.Linear(2, 2)  # of an LSTM's cell in each direction
        self.layers = nn.Sequential(nn.Linear(2 + 5 + 2, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, losses: Tensor, difference: Tensor, label: Tensor, percent: Tensor) -> Tensor:
        """Map losses, differences, labels and percents of the epochs, each [B], to logits [B], in single precision."""
        with torch.autocast(losses.device.type, enabled=False):
            read = torch.stack([losses, difference], 1).to(self.of_epoch.dtype)
            cells = self.gate(read).sigmoid() * self.candidate(read).tanh()
            features = torch.cat([self.of_label(label), self.of_epoch[percent], cells], 1)
            logits: Tensor = self.layers(features)
        return logits.squeeze(1)


@lru_cache(maxsize=8)
def imitating(width: float, seed: int) -> Mentor:
    """Return a mentor of one label that has learned the predefined curriculum; the random state is left alone.

    Parameters
    ----------
    width : float
        λ₂, as in `self_paced`.
    seed : int
        Of its weights and of the features that it learns on.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        mentor = Mentor(1)
        optimizer = torch.optim.Adam(mentor.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        label = torch.zeros(SIZE, dtype=torch.int64)
        drawn = [part.view(STEPS, SIZE) for part in drawn_features(STEPS * SIZE)]
        for losses, difference, percent in zip(*drawn, strict=True):
            wanted = self_paced(difference, percent, width)
            loss = F.binary_cross_entropy_with_logits(mentor(losses, difference, label, percent), wanted)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return mentor


def drawn_features(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return n losses, differences and percents of the epochs, each [n], from torch's generator.

    From the authors' ranges: losses up to 10, and every sixth from 10 to 30; differences within ±5, and half of them
    within ±1, where weights change; all epochs, and half of them the last tenth, where the rule is another.

    Parameters
    ----------
    n : int
        How many.
    """
    losses = torch.where(torch.rand(n) < 1 / 6, 10 + 20 * torch.rand(n), 10 * torch.rand(n))
    difference = (2 * torch.rand(n) - 1) * torch.where(torch.rand(n) < 1 / 2, 1, 5)
    percent = torch.where(
        torch.rand(n) < 1 / 2, torch.randint(LINEAR_FROM, PERCENT, (n,)), torch.randint(PERCENT, (n,))
    )
    return losses, difference, percent
