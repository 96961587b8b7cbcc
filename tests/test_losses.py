"""The losses: their literal versions, their gradients, what they are called."""

import pytest
import torch

from skedastic import losses
from skedastic.config import build_config, make_method, method_table, read, to_toml
from skedastic.errors import UserError
from skedastic.losses.absolute import Absolute
from skedastic.losses.auto import Auto
from skedastic.losses.cross_entropy import CrossEntropy
from skedastic.losses.huber import Huber
from skedastic.losses.squared import Squared
from skedastic.methods.erm import ERM
from skedastic.methods.har import HAR
from tests.reference import regression as literal

A = torch.tensor([0.0, 1.0, -2.0, 3.5, 0.2], dtype=torch.float64)
Y = torch.tensor([0.0, 3.0, 1.0, 3.0, -0.3], dtype=torch.float64)


@pytest.mark.parametrize(
    ("loss", "reference"),
    [
        (Squared(), literal.squared),
        (Absolute(), literal.absolute),
        (Huber(), lambda a, y: literal.huber(a, y, 1.0)),
        (Huber(delta=0.4), lambda a, y: literal.huber(a, y, 0.4)),
        (Auto(), literal.squared),
    ],
    ids=["squared", "absolute", "huber", "huber-0.4", "auto"],
)
def test_losses_of_numbers_are_their_literal_versions(loss, reference):
    found = loss(A, Y)
    assert found.shape == (5,)
    expected = [reference(a, y) for a, y in zip(A.tolist(), Y.tolist(), strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert "regression" in loss.supports
    outputs = A.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: loss(a, Y)[1:], outputs)  # the absolute error has a kink at 0


def test_auto_is_cross_entropy_of_logits_to_the_bit():
    logits, y = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    assert torch.equal(Auto()(logits, y), CrossEntropy()(logits, y))
    assert Auto.supports == Squared.supports | CrossEntropy.supports


def test_huber_goes_from_the_absolute_to_the_squared_error():
    torch.testing.assert_close(Huber(delta=100)(A, Y), Squared()(A, Y))
    torch.testing.assert_close(Huber(delta=1e-6)(A, Y) / 1e-6, Absolute()(A, Y), atol=1e-5, rtol=0)
    for delta in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="delta must be above 0"):
            Huber(delta=delta)


def test_every_loss_says_what_it_supports_and_has_a_name():
    assert {"auto", "cross-entropy", "squared", "absolute", "huber"} <= set(losses.discover())
    for cls in losses.discover().values():
        assert cls.supports
        assert cls.supports <= {"classification", "regression"}


def test_a_loss_with_a_parameter_is_written_and_read_back():
    method = make_method("har", {"loss": {"name": "huber", "delta": 0.5}})
    assert method == HAR(loss=Huber(delta=0.5))
    assert make_method("erm", {"loss": "huber"}) == ERM(loss=Huber())
    config = build_config({"source": "a.csv", "method": method_table(method)})
    assert '[method.loss]\nname = "huber"\ndelta = 0.5' in to_toml(config)
    settings = ["method.loss.name=huber", "method.loss.delta=0.5"]
    assert read(None, {"source": "a.csv"}, settings).method["loss"] == {"name": "huber", "delta": 0.5}
    for given, words in (
        ({"delta": 0.5}, "name it too, with method.loss.name=huber"),
        ({"name": "hubr"}, "did you mean 'huber'?"),
        ({"name": "huber", "delat": 1.0}, "did you mean 'method.loss.delta'?"),
        ({"name": "huber", "delta": "wide"}, "must be a number"),
        (3, "must be the name of a loss"),
    ):
        with pytest.raises(UserError) as error:
            make_method("erm", {"loss": given})
        assert words in str(error.value)
