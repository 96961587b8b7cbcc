"""Post-hoc logit adjustment: training is that of the method inside, and predictions are shifted as equation 9 says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import skedastic as sk
from skedastic.errors import UserError
from skedastic.methods.auto import Auto
from skedastic.methods.erm import ERM
from skedastic.methods.mixup import Mixup
from skedastic.methods.post_hoc import LEAST, PostHoc
from skedastic.methods.sam import SAM
from skedastic.methods.two_stage import TwoStage
from skedastic.runs.export import export_run
from skedastic.training import TrainingConfig, train
from tests.support.methods import dataset, make_net, task

TRAINING = TrainingConfig(epochs=3, batch_size=16, lr=0.05, device="cpu")


def long_tail():
    """Return 120 examples, of classes of 80, 30 and 10."""
    y = torch.arange(120).clamp(0, 119)
    y = (y >= 80).long() + (y >= 110).long()
    return replace(dataset(120), y=y, group=y)


def logits(method, data=None):
    data = data or long_tail()
    run = train(method, data, make_net, TRAINING, seed=4)
    return run.method.predict(run.state.eval(), data.x).double().detach()


@pytest.mark.parametrize("base", [ERM(), Mixup(), SAM(), TwoStage()])
@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_it_takes_the_logarithms_of_the_shares_off_the_logits_of_the_method_inside(base, tau: float) -> None:
    share = torch.tensor([80.0, 30.0, 10.0]).double() / 120
    expected = logits(base) - tau * share.log()
    torch.testing.assert_close(logits(PostHoc(base=base, tau=tau)), expected, rtol=1e-5, atol=1e-5)


def test_with_shares_to_predict_at_it_takes_off_their_ratio() -> None:
    share = torch.tensor([80.0, 30.0, 10.0]).double() / 120
    target = torch.tensor([0.5, 0.3, 0.2]).double()
    expected = logits(ERM()) - (share / target).log()
    found = logits(PostHoc(target=tuple(target.tolist())))
    torch.testing.assert_close(found.softmax(1), expected.softmax(1), rtol=1e-5, atol=1e-6)
    with pytest.raises(UserError, match="one share for each of the 3 classes"):
        logits(PostHoc(target=(1.0, 1.0)))


def test_what_a_chooser_tries_on_halves_is_compared_as_it_is() -> None:
    chooser = Auto(trees=False, mixup=False)
    data = long_tail()
    methods = (chooser, PostHoc(base=chooser))
    alone, shifted = (train(m, data, make_net, TRAINING, seed=4, task=task(data)) for m in methods)
    assert [(t.name, t.gain) for t in shifted.trials] == [(t.name, t.gain) for t in alone.trials] != []


def test_a_class_without_examples_is_never_predicted() -> None:
    data = long_tail()
    few = data.subset((data.y != 2).nonzero().flatten())
    plain, shifted = logits(ERM(), few), logits(PostHoc(tau=0.5), few)
    torch.testing.assert_close(shifted[:, 2], plain[:, 2] + LEAST)
    assert logits(PostHoc(tau=0.0), few).equal(plain), "which τ = 0 leaves as it is"


@pytest.mark.parametrize("form", ["onnx", "torch-export", "safetensors"])
def test_the_shift_is_saved_and_exported_with_the_network(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.15).astype(int)
    x = (y[:, None] + rng.normal(size=(200, 3))).astype(np.float32)
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=np.where(y, "rare", "frequent"))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    settings = {"method": "post-hoc(base=mixup, tau=0.7)", "train": sk.TrainingConfig(epochs=3), "test": None}
    result = sk.fit(str(tmp_path / "rows.csv"), target="y", **settings)
    result.save(tmp_path / "run")
    back = sk.load(tmp_path / "run")
    pd.testing.assert_frame_equal(back.predict_proba(frame), result.predict_proba(frame))
    assert "equal to the network" in export_run(back, form, tmp_path / f"net.{form}")
    with torch.inference_mode():
        shifted, plain = (net(torch.zeros(1, *back.encoder.input_shape)) for net in (back.net, back.trained.state.net))
    difference = (shifted - plain).flatten().tolist()
    assert difference[1] - difference[0] == pytest.approx(-0.7 * np.log(y.mean() / (1 - y.mean())), abs=1e-4)
