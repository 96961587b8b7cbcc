"""Who takes the second pass, and that nobody else notices."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skedastic.core import JacobianPenalty, regularized_loss
from skedastic.core.batch_statistics import normalizes_by_batch
from skedastic.core.jacobian import cross_entropy
from skedastic.core.selection import probabilities, select
from skedastic.models import make
from tests.support.refusals import refused


def network(norm: type[nn.Module] = nn.LayerNorm, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    hidden = [nn.Linear(5, 8), norm(8), nn.Softplus(), nn.Dropout(dropout), nn.Linear(8, 6), norm(6), nn.Softplus()]
    return nn.Sequential(*hidden, nn.Linear(6, 4)).double()


def data(n: int = 12, some: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of which `some` examples have a strength."""
    g = torch.Generator().manual_seed(1)
    strength = torch.zeros(n, dtype=torch.float64)
    strength[torch.randperm(n, generator=g)[:some]] = torch.linspace(0.2, 0.6, some, dtype=torch.float64)
    return torch.randn(n, 5, generator=g, dtype=torch.float64), torch.arange(n) % 4, strength


def gradient(net: nn.Module, total: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, list(net.parameters()))])


def full(net, x, y, strength, **options):
    return regularized_loss(net, x, y, strength, penalty=JacobianPenalty(select=1.0, **options))


@pytest.mark.parametrize("norm", ["joint", "layers"])
@pytest.mark.parametrize("affine", ["after", "before"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_part_has_the_same_penalty_as_when_everyone_takes_the_second_pass(norm, affine, reduction) -> None:
    net, (x, y, strength) = network(), data()
    options = {"norm": norm, "affine": affine, "reduction": reduction}
    part = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(**options))
    everyone = full(net, x, y, strength, **options)
    has = strength > 0
    assert part.norm[~has].isnan().all()  # the others took no second pass
    torch.testing.assert_close(part.norm[has], everyone.norm[has], rtol=1e-12, atol=0)
    torch.testing.assert_close(part.total, everyone.total, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient(net, part.total), gradient(net, everyone.total), rtol=1e-10, atol=1e-14)


def mlp() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    return network(nn.BatchNorm1d), *data()


def resnet() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    strength = torch.zeros(16)
    strength[3] = 0.1  # 6 % of the batch
    return make("resnet32", (3, 16, 16), 4), torch.randn(16, 3, 16, 16), torch.arange(16) % 4, strength


@pytest.mark.parametrize("setting", [mlp, resnet])
@pytest.mark.parametrize("select", ["auto", 0.25])
def test_under_batch_norm_the_penaltys_gradient_is_that_of_everyones_second_pass(setting, select) -> None:
    """The loss of everyone depends on the shifts of a part, through the batch's statistics."""
    net, x, y, strength = setting()
    plain = gradient(net, cross_entropy(net(x), y).mean())
    ours = gradient(net, regularized_loss(net, x, y, strength, penalty=JacobianPenalty(select=select)).total) - plain
    expected = gradient(net, full(net, x, y, strength).total) - plain
    assert F.cosine_similarity(ours, expected, dim=0) >= 0.99
    torch.testing.assert_close(ours.norm(), expected.norm(), rtol=0.01, atol=0)


def test_under_batch_norm_a_parts_gradient_is_that_of_the_objectives_differences() -> None:
    """Central differences of Σ_S s_i R_i, everyone else's loss in J included, at a strength that moves little."""
    net, (x, y, strength) = network(nn.BatchNorm1d), data()
    small, weight, eps = 1e-5, net[0].weight, 1e-6

    def penalty() -> float:
        norm = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(gradient="exact")).norm
        return float((strength * norm).sum() / len(x))

    plain = gradient(net, cross_entropy(net(x), y).mean())
    ours = ((gradient(net, regularized_loss(net, x, y, small * strength).total) - plain) / small)[: weight.numel()]
    differences = torch.zeros_like(weight)
    with torch.no_grad():
        for i in range(weight.numel()):
            entry, ends = weight.view(-1), []
            for step in (eps, -2 * eps):
                entry[i] += step
                with torch.enable_grad():
                    ends.append(penalty())
            entry[i] += eps
            differences.view(-1)[i] = (ends[0] - ends[1]) / (2 * eps)
    torch.testing.assert_close(ours, differences.flatten(), rtol=1e-3, atol=1e-5)


def test_a_layer_without_running_statistics_normalizes_by_the_batch_in_evaluation_too() -> None:
    for options, training, evaluating in (({}, True, False), ({"track_running_stats": False}, True, True)):
        net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, **options))
        assert normalizes_by_batch(net) is training
        assert normalizes_by_batch(net.eval()) is evaluating
    assert not normalizes_by_batch(network())


def test_under_batch_norm_a_drawn_share_is_everyone() -> None:
    """Drawing would save nothing there."""
    net, (x, y, strength) = network(nn.BatchNorm1d), data()
    drawn = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(select=0.25, selection="drawn"))
    torch.testing.assert_close(gradient(net, drawn.total), gradient(net, full(net, x, y, strength).total))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_state_moves_once_and_random_numbers_are_left_as_plain_training_leaves_them(dropout) -> None:
    net, (x, y, strength) = network(nn.BatchNorm1d, dropout), data()
    plain = copy.deepcopy(net)
    torch.manual_seed(3)
    plain(x)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    result = regularized_loss(net, x, y, strength)
    assert torch.equal(torch.get_rng_state(), after)
    for ours, theirs in zip(net.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)
    assert all(m.training for m in net.modules())
    assert gradient(net, result.total).isfinite().all()
    assert result.norm[strength > 0].isfinite().all()


def test_with_dropout_the_part_is_measured_and_shifted_under_one_mask() -> None:
    """At a small strength the penalty is s·R, so the measured R and the losses' difference must agree."""
    net, (x, y, strength) = network(dropout=0.5), data()
    for seed in range(5):
        torch.manual_seed(seed)
        result = regularized_loss(net, x, y, strength * 1e-6)
        difference = result.total - result.per_example.mean()
        expected = (strength * 1e-6 * result.norm).nansum() / len(x)
        assert difference.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_batch_without_strength_is_plain_training_to_the_bit() -> None:
    net, (x, y, _) = network(nn.BatchNorm1d, 0.3), data()
    plain = copy.deepcopy(net)
    torch.manual_seed(4)
    expected = gradient(plain, cross_entropy(plain(x), y).mean())
    torch.manual_seed(4)
    result = regularized_loss(net, x, y, 0.0)
    assert torch.equal(gradient(net, result.total), expected)
    assert result.norm.isnan().all()


def test_the_first_passs_gradient_is_carried_to_the_bit_and_scales_with_the_loss() -> None:
    """The part's strength so small that it moves nothing: what is left is the first pass."""
    net = make("resnet32", (3, 8, 8), 4, {"blocks": 1, "width": 4})
    x, y = torch.randn(16, 3, 8, 8), torch.arange(16) % 4
    strength = torch.zeros(16)
    strength[0] = 1e-30
    expected = gradient(net, cross_entropy(net(x), y).mean())
    ours = gradient(net, regularized_loss(net, x, y, strength).total * 8)
    torch.testing.assert_close(ours, expected * 8, rtol=1e-4, atol=1e-6)


def test_the_largest_share_takes_the_strongest() -> None:
    strength = torch.tensor([0.1, 0.5, 0.0, 0.3, 0.2])
    assert select(strength, 0.4, "largest").rows.tolist() == [1, 3]
    assert select(strength, 0.41, "largest").rows.tolist() == [1, 3, 4]
    assert select(strength, 1.0, "largest").rows.tolist() == [0, 1, 3, 4]
    assert select(strength, "auto", "largest").rows.tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_a_share_leaves_the_others_without_regularization(share) -> None:
    """Three quarters are run as one pass of everyone, which costs less; the result is that of a part."""
    net, (x, y, strength) = network(), data(12, 12)
    kept = torch.zeros_like(strength)
    rows = strength.topk(round(12 * share)).indices
    kept[rows] = strength[rows]
    ours = regularized_loss(net, x, y, strength, penalty=JacobianPenalty(select=share))
    expected = full(net, x, y, kept)
    torch.testing.assert_close(gradient(net, ours.total), gradient(net, expected.total), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("count", [1.0, 2.5, 4.0, 6.0])
def test_drawing_probabilities_follow_the_strengths_and_sum_to_the_count(count) -> None:
    strength = torch.tensor([0.0, 0.1, 0.2, 3.0, 0.1, 0.4, 0.0, 0.7])
    chance = torch.tensor(probabilities(strength.tolist(), count), dtype=torch.float64)
    assert (chance[strength == 0] == 0).all()
    assert float(chance.sum()) == pytest.approx(count)
    free = (chance < 1) & (strength > 0)
    ratio = chance[free] / strength[free].double()
    assert ratio.numel() == 0 or torch.allclose(ratio, ratio[0])
    assert (chance <= 1).all()


def test_drawing_more_than_there_are_takes_all() -> None:
    strength = torch.tensor([0.0, 0.1, 0.2, 0.0])
    assert probabilities(strength.tolist(), 3.0) == [0, 1, 1, 0]
    assert probabilities([0.0] * 4, 2.0) == [0, 0, 0, 0]


@pytest.mark.slow
def test_drawn_examples_come_as_often_as_they_should() -> None:
    torch.manual_seed(0)
    strength = torch.tensor([0.0, 0.1, 0.2, 3.0, 0.1, 0.4, 0.0, 0.7])
    chance, seen, draws = torch.tensor(probabilities(strength.tolist(), 3.0)), torch.zeros(8), 4000
    for _ in range(draws):
        part = select(strength, 3 / 8, "drawn")
        seen[part.rows] += 1
        assert len(part.rows) == 3
        torch.testing.assert_close(part.weight, (1 / chance[part.rows]).float())
    error = (chance * (1 - chance) / draws).sqrt()
    assert ((seen / draws - chance).abs() <= 4 * error + 1e-9).all()


@pytest.mark.slow
def test_the_drawn_gradient_is_unbiased() -> None:
    net, (x, y, strength) = network(), data(8, 8)
    expected = gradient(net, full(net, x, y, strength).total)
    torch.manual_seed(0)
    penalty = JacobianPenalty(select=0.25, selection="drawn")
    draws = torch.stack(
        [gradient(net, regularized_loss(net, x, y, strength, penalty=penalty).total) for _ in range(600)]
    )
    error = draws.std(0) / len(draws) ** 0.5
    assert draws.std(0).max() > 1e-4  # that it was left to chance
    z = (draws.mean(0) - expected).abs() / (error + 1e-12)
    assert z.median() < 1.2
    assert z.max() < 5


@pytest.mark.parametrize("value", [0.0, 1.5, -0.1, float("nan"), "some"])
def test_a_share_out_of_range_is_refused(value) -> None:
    with refused("select", value):
        JacobianPenalty(select=value)


def test_a_share_is_for_implicit_only() -> None:
    with refused("select", 0.5, rule="is for gradient=implicit"):
        JacobianPenalty(gradient="exact", select=0.5)
