"""Every method on a GPU, where there is one: it trains and predicts there, in mixed precision too."""

from dataclasses import replace

import pytest
import torch

from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.support.methods import BOTH, TRAINING, data_for, net_of, reference, task

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_every_method_trains_on_the_gpu(name, kind, precision):
    method = make_method(name, {})
    data, trusted = data_for(method, kind), reference(kind)
    training = replace(TRAINING, device="cuda", precision=precision)
    trained = train(method, data, net_of(kind), training, task=task(data), reference=trusted)
    assert all(p.device.type == "cuda" for p in trained.state.parameters())
    assert trained.predict(data.x).isfinite().all()


@needs_gpu
@pytest.mark.parametrize(("name", "kind"), BOTH)
def test_the_gpu_and_the_cpu_begin_alike(name, kind):
    # About alike: dropout draws other numbers on another device.
    method = make_method(name, {})
    data, trusted = data_for(method, kind), reference(kind)

    def first_loss(device):
        training = replace(TRAINING, device=device, lr=1e-3)
        history = train(method, data, net_of(kind), training, task=task(data), reference=trusted).history
        return history[0].get("loss", 0.0)

    assert first_loss("cuda") == pytest.approx(first_loss("cpu"), rel=0.3, abs=0.1)
