"""Adam without bias correction: w ← w − η v/(√u + ε), v and u as they are (Qi et al., ABSGD, equation 9)."""

from __future__ import annotations

import torch

from skedastic.errors import UserError

MANY = 1e6  # steps after which 1 − β^t is 1 in double precision, for β up to 0.9999


def uncorrected(optimizer: torch.optim.Optimizer) -> None:
    """Let a fresh Adam count its steps from where its correction is 1, so that its averages stay as they are.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Adam or AdamW, before its first step.

    Raises
    ------
    UserError
        It is another optimizer.
    """
    if not isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        rule = "only adam and adamw correct a bias; take one of them, or leave bias_correction out"
        raise UserError(rule, setting="absgd.bias_correction", value=False)
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        optimizer.state[parameter] = {
            "step": torch.tensor(MANY, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
