"""Cutout: which pixels, what they become, around which methods."""

import numpy as np
import pytest
import torch

from skedastic.methods.cutout import Cutout, covered, cut_out
from skedastic.methods.erm import ERM
from skedastic.methods.mixup import Mixup
from skedastic.settings.methods import make_method
from skedastic.training import train
from tests.support.methods import CLOCK, TRAINING, Batch, data_for, make_net, same, task, weights
from tests.support.refusals import refused


def theirs(size, length, y, x):
    """The authors' mask, literally: False where the square is."""
    mask = np.ones((size, size), dtype=bool)
    mask[max(y - length // 2, 0) : min(y + length // 2, size), max(x - length // 2, 0) : min(x + length // 2, size)] = (
        False
    )
    return mask


@pytest.mark.parametrize("length", [2, 4, 6])
def test_the_square_is_the_authors_where_its_side_is_even(length):
    images = torch.rand(8, 3, 8, 8) + 10
    rows, columns = torch.tensor([0, 7, 3, 4, 0, 7, 5, 1]), torch.tensor([0, 7, 4, 0, 7, 0, 5, 6])
    cut = cut_out(images, rows, columns, length)
    for i in range(8):
        mask = theirs(8, length, int(rows[i]), int(columns[i]))
        kept = (cut[i] == images[i]).all(0).numpy()
        np.testing.assert_array_equal(kept, mask)
        filled = cut[i][:, torch.from_numpy(~mask)]
        torch.testing.assert_close(filled, images.mean((0, 2, 3))[:, None].expand_as(filled))


def test_a_square_of_odd_side_is_whole():
    assert covered(torch.tensor([3]), 8, 3).int().tolist() == [[0, 0, 1, 1, 1, 0, 0, 0]]
    assert covered(torch.tensor([0]), 8, 3).sum() == 2


def test_whole_numbers_stay_whole_numbers():
    images = torch.tensor([10, 21], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 4, 4).clone()
    cut = cut_out(images, torch.tensor([1, 1]), torch.tensor([1, 1]), 2)
    assert cut.dtype == torch.uint8
    assert sorted(cut[0].unique().tolist()) == [10, 16]


class Seen(Exception):
    pass


class Stopped(ERM):
    def step(self, state, batch, clock, engine):
        raise Seen(batch.x)


@pytest.mark.parametrize(("length", "side"), [(0.5, 4), (0.01, 1), (3.0, 3), (1.0, 1)])
def test_the_length_is_a_fraction_or_pixels_and_the_centre_is_anywhere(length, side):
    torch.manual_seed(0)
    images = torch.rand(500, 1, 8, 10)
    batch = Batch(images, torch.zeros(500), torch.arange(500), torch.zeros(500))
    with pytest.raises(Seen) as seen:
        Cutout(length=length, base=Stopped()).step(None, batch, CLOCK, None)
    changed = seen.value.args[0] != images
    sizes = changed.sum((1, 2, 3))
    assert sizes.max() == side * side
    assert changed.any(0).all(), "no pixel is always kept"
    if side > 1:
        assert sizes.min() < side * side, "none sticks out over the edge"


@pytest.mark.parametrize(
    "base", ["har(strength=0.5)", "absgd(lam=2)", "mixup", "sam", "co-teaching(forget_rate=0.2)", "l2rw"]
)
def test_it_goes_around_any_method(base):
    whole = make_method(f"cutout(base={base})", {})
    data = data_for(whole)
    nets = [
        weights(train(method, data, make_net, TRAINING, task=task(data), reference=data).state.net)
        for method in (whole, make_method(base, {}))
    ]
    assert not same(*nets)


@pytest.mark.parametrize("length", [-1.0, 1.5, float("inf"), float("nan")])
def test_bad_lengths_are_one_line(length):
    with refused("cutout.length", length):
        Cutout(length=length)


@pytest.mark.parametrize("around", ["sam", "asam", "amp", "vat"])
def test_it_cant_be_inside_a_wrapper_that_takes_the_objective_again_and_would_not_cut(around):
    with refused("method.base", "cutout", rule="cutout(base=sam)"):
        make_method(f"{around}(base=cutout)", {})


def test_inside_mixup_it_cuts_the_mixtures():
    torch.manual_seed(0)
    images = torch.rand(64, 1, 8, 8) + 1
    batch = Batch(images, torch.zeros(64).long(), torch.arange(64), torch.zeros(64), 2)
    with pytest.raises(Seen) as seen:
        Mixup(base=Cutout(length=4.0, base=Stopped())).step(None, batch, CLOCK, None)
    x = seen.value.args[0]
    assert ((x == x.flatten()[x.flatten().mode().indices]).sum((1, 2, 3)) > 3).all()


@pytest.mark.parametrize(
    ("shape", "length", "setting", "value"),
    [((8, 5), 0.5, "method", "cutout"), ((8, 1, 8, 6), 16.0, "cutout.length", 16.0)],
)
def test_an_input_that_is_no_image_or_would_be_blank_is_refused(shape, length, setting, value):
    batch = Batch(torch.rand(shape), torch.zeros(8), torch.arange(8), torch.zeros(8))
    with refused(setting, value):
        Cutout(length=length).step(None, batch, CLOCK, None)


def test_the_largest_square_leaves_something_of_some_images():
    """Of 8 × 6 pixels, one of 14 around a corner leaves a pixel's row of the opposite side; one of 15 none."""
    torch.manual_seed(0)
    images = torch.rand(300, 1, 8, 6)
    batch = Batch(images, torch.zeros(300), torch.arange(300), torch.zeros(300))
    with pytest.raises(Seen) as seen:
        Cutout(length=14.0, base=Stopped()).step(None, batch, CLOCK, None)
    assert (seen.value.args[0] == images).any()
    with refused("cutout.length", 15.0):
        Cutout(length=15.0, base=Stopped()).step(None, batch, CLOCK, None)
