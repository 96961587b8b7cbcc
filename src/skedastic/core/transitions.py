"""Between the true class of an example and the label that it is given.

T[z, y] is the chance that an example of class z is labelled y. A network that learned from such labels predicts the
chances of the labels, p = q T. Either way between the two is here: from q to p, which a loss is corrected by (Patrini,
Rozza, Menon, Nock, Qu, "Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach", CVPR 2017,
Theorem 2), and from p to q. How T is found: `skedastic.noise.true_labels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skedastic.core.choice import Gain

BEND = 0.5  # of p: q is bent within so much of 0, and not at all where T says that labels are right
RIDGE = 1e-4  # beside T, where two classes are exchanged so often that they can't be told apart
ROUNDS = 200  # of expectation and maximization; the labels themselves are near
TINY = 1e-12
CLEAR = 2.0  # standard errors by which T must explain labels better


@dataclass(frozen=True, eq=False, kw_only=True)
class Transitions:
    """How labels go wrong, and whether that is to be relied on.

    Parameters
    ----------
    matrix : Tensor
        T, [C, C] float64 in [0, 1], [true, given]; rows sum to 1.
    gain : Gain
        By how much T raises the log likelihood of labels that it was not fitted to, in nats an example.
    gives_up : bool
        Whether a class loses more than half of its predictions once q is predicted and not p.
    """

    matrix: Tensor
    gain: Gain
    gives_up: bool

    @property
    def clear(self) -> bool:
        """Whether T explains labels better by two standard errors."""
        return self.gain.mean > CLEAR * self.gain.error

    @property
    def sound(self) -> bool:
        """Whether T explains labels better by two standard errors, and every class keeps its predictions."""
        return self.clear and not self.gives_up

    def wrong(self, count: Tensor) -> float:
        """Return the share of labels that are wrong, of so many of each, [C]."""
        return float(self._flow(count).sum())

    def one_way(self, count: Tensor) -> float:
        """Return the share of the wrong labels for which none comes back, as where a is called b and b never a."""
        flow = self._flow(count)
        return float((flow - flow.T).abs().sum() / 2 / flow.sum()) if float(flow.sum()) else 0.0

    def _flow(self, count: Tensor) -> Tensor:
        """Return the share of all labels that are of each true class, and given as each other one, [C, C]."""
        flow = shares_of_true_classes(count, self.matrix)[:, None] * self.matrix
        return flow - flow.diagonal().diag()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"matrix": self.matrix.tolist(), "gain": self.gain._asdict(), "gives_up": self.gives_up}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Transitions:
        """Return what `to_dict` described."""
        matrix = torch.tensor(values["matrix"], dtype=torch.float64)
        return cls(matrix=matrix, gain=Gain(**values["gain"]), gives_up=values["gives_up"])


def shares_of_true_classes(count: Tensor, transitions: Tensor) -> Tensor:
    """Return the shares of the true classes that explain how often each label is given, [C] ≥ 0, of sum 1.

    They maximize Σ_y n_y log (π T)_y: expectation and maximization, from the shares of the labels. No class is taken to
    be rarer than a tenth of its labels.

    Parameters
    ----------
    count : Tensor
        Examples of each label, [C] ≥ 0, not all 0.
    transitions : Tensor
        T, [C, C].
    """
    labelled = count.double() / count.sum()
    T = transitions.double()
    share = labelled
    for _ in range(ROUNDS):
        share = share * (T @ (labelled / (share @ T).clamp_min(TINY)))
    share = torch.maximum(share, labelled / 10)
    return share / share.sum()


def of_labels(logits: Tensor, transitions: Tensor) -> Tensor:
    """Return log (q T), [B, C], the logarithm of the chances of the labels.

    Parameters
    ----------
    logits : Tensor
        Of the true classes, [B, C]: q is their softmax.
    transitions : Tensor
        T, [C, C].
    """
    with torch.autocast(logits.device.type, enabled=False):
        q = logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(1)
        return (q @ transitions.to(q)).clamp_min(torch.finfo(q.dtype).tiny).log()


def of_true_classes(p: Tensor, transitions: Tensor) -> Tensor:
    """Return q = p T⁻¹, bent to be above 0, [n, C]; rows sum to 1.

    Parameters
    ----------
    p : Tensor
        The chances of the labels, [n, C] > 0.
    transitions : Tensor
        T, [C, C].
    """
    t = transitions.to(p)
    q = torch.linalg.solve(t.T + RIDGE * torch.eye(len(t), dtype=p.dtype, device=p.device), p.T).T
    q = (q + (q**2 + (BEND * p) ** 2).sqrt()) / 2
    shares: Tensor = q / q.sum(1, keepdim=True)
    return shares
