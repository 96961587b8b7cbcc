"""Figure 3's example for `theory.py`: a three-layer network, regularized weakly, strongly and adaptively."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from skedastic.core.jacobian import JacobianPenalty, regularized_loss
from theory_figure import Network
from theory_setting import Floats, Row, mean_error

LEFT, RIGHT = (160, 0.05), (30, 0.5)  # examples and σ: frequent, oscillating, clean; rare, slow, noisy
STEPS = 1500
NET_GRID = np.linspace(0, 1, 801)


def figure_3_truth(x: Floats) -> Floats:
    """Return four short waves on the left half, one slow one on the right."""
    return np.where(x < 0.5, 0.8 * np.sin(16 * np.pi * x), np.sin(2 * np.pi * (x - 0.5)))


class Stack(nn.Module):
    """M linear layers side by side, for M networks at once: inputs [M·n, in] to outputs [M·n, out], by network."""

    def __init__(self, networks: int, inputs: int, outputs: int, reach: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(networks, inputs, outputs).uniform_(-reach, reach))
        self.bias = nn.Parameter(torch.empty(networks, 1, outputs).uniform_(-reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        """Return all networks' outputs."""
        each = x.view(len(self.weight), -1, x.shape[1])
        return torch.baddbmm(self.bias, each, self.weight).flatten(0, 1)


def train(x: Floats, y: Floats, strength: Floats, penalized: str) -> Floats:
    """Return M networks 1-64-64-1 on NET_GRID, [M, 801], trained side by side; x, y, strength [M, n].

    penalized: "loss" is the paper's R (equation 6), of ∂ℓ/∂h at both hidden layers; "output" is that of ∂f/∂h.
    """
    torch.manual_seed(5)
    count = len(x)
    # first weights in (−20, 20), so that the short waves are within reach of the steps
    layers = [Stack(count, 1, 64, 20.0), nn.Tanh(), Stack(count, 64, 64, 0.125), nn.Tanh(), Stack(count, 64, 1, 0.125)]
    net = nn.Sequential(*layers)
    inputs = torch.tensor(2 * x - 1, dtype=torch.float32).view(-1, 1)
    target, s = (torch.tensor(v, dtype=torch.float32).flatten() for v in (y, strength))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.005)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    exact = JacobianPenalty(gradient="exact")

    def squared(out: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (out[:, 0] - y) ** 2

    def output(out: Tensor, y: Tensor) -> Tensor:
        return out[:, 0]

    for _ in range(STEPS):
        if penalized == "loss":
            total = regularized_loss(net, inputs, target, s, loss=squared, penalty=exact, taps=["1", "3"]).total
        else:  # (1/B) Σ (f + s R) − (1/B) Σ f is the penalty alone
            total = regularized_loss(net, inputs, target, s, loss=output, penalty=exact, taps=["1", "3"]).total
            out = net(inputs)
            total = total - out.mean() + squared(out, target).mean()
        optimizer.zero_grad()
        (count * total).backward()  # the sum over networks: each learns as if alone
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        grid = torch.tensor(2 * NET_GRID - 1, dtype=torch.float32).repeat(count)
        return net(grid[:, None]).view(count, -1).double().numpy()


def network(quick: bool) -> tuple[list[Row], list[Network]]:
    """Weak everywhere, strong everywhere, and adaptive: weak where data are frequent and clean, strong elsewhere.

    Adaptive λτ ∝ (σ²)^{2/5} q^{−2/5} with the true σ² and q, the larger as given; weak and strong are its two values.
    """
    seeds = 1 if quick else 4
    count, sigma = np.array([LEFT[0], RIGHT[0]]), np.array([LEFT[1], RIGHT[1]])
    side = np.repeat([0, 1], count)
    tau = sigma**0.8 * count**-0.4 / (sigma**0.8 * count**-0.4).max()
    data = []
    for seed in range(seeds):
        rng = np.random.default_rng((5, seed))
        x = (side + rng.random(len(side))) / 2
        data.append((x, figure_3_truth(x) + sigma[side] * rng.standard_normal(len(side))))
    truth = figure_3_truth(NET_GRID)
    rows, drawn = [], []
    for penalized, largest in (("loss", 0.75), ("output", 0.1)):
        low, high = largest * tau
        choices = {"weak": (low, low), "strong": (high, high), "adaptive": (low, high)}
        values = {"weak": f"{low:.3g}", "strong": f"{high:.3g}", "adaptive": f"{low:.3g} and {high:.3g}"}
        runs = [(x, y, np.array(strength)[side]) for strength in choices.values() for x, y in data]
        fitted = train(*(np.stack(column) for column in zip(*runs, strict=True)), penalized)
        by_choice = dict(zip(choices, fitted.reshape(len(choices), seeds, -1), strict=True))
        symbol = "∂ℓ/∂h" if penalized == "loss" else "∂f/∂h"
        for choice, f in by_choice.items():
            error = (f - truth) ** 2
            for half, part in (("left", error[:, NET_GRID < 0.5]), ("right", error[:, NET_GRID > 0.5])):
                mean, spread = mean_error(part.mean(1)) if seeds > 1 else (float(part.mean()), None)
                what = f"penalty on {symbol}, {choice} ({values[choice]}): MSE, {half} half"
                rows.append(Row("5 network", what, mean, spread, None, None))
        right = ((fitted.reshape(len(choices), seeds, -1) - truth) ** 2)[:, :, NET_GRID > 0.5].mean(2)
        gain, spread = mean_error(right[2] - right[0]) if seeds > 1 else (float(right[2, 0] - right[0, 0]), None)
        rows.append(Row("5 network", f"penalty on {symbol}: adaptive less weak, right half", gain, spread, None, None))
        first = {f"{choice} ({values[choice]})": f[0] for choice, f in by_choice.items()}
        drawn.append(Network(symbol, *data[0], NET_GRID, truth, first))
    return rows, drawn
