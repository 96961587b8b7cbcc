"""The one-dimensional estimator: against the equation written literally, in its limits, and against Theorem 1."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from smoothing import predicted_mse, smooth  # type: ignore[import-not-found]  # pytest finds it in examples
from tests.reference import smoothing as literal
from tests.support.refusals import refused

LOSSES = ("logistic", "squared")


def example(loss: str, n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    f = np.sin(6 * x)
    return x, np.where(rng.random(n) < expit(f), 1.0, -1.0) if loss == "logistic" else f + rng.normal(size=n)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lam", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize(("rho", "breaks"), [([1.0], []), ([1.0, 30.0], [0.4]), ([2.0, 0.1, 9.0], [0.31, 0.87])])
def test_equals_the_dense_minimizer(loss: str, lam: float, rho: list[float], breaks: list[float]) -> None:
    x, y = example(loss)
    nodes, values = getattr(literal, loss)(x, y, rho, lam, breaks)
    fitted = smooth(x, y, rho, lam, breaks=breaks, loss=loss)
    assert fitted.converged
    np.testing.assert_array_equal(fitted.nodes, nodes)
    np.testing.assert_allclose(fitted.values, values, atol=1e-8)
    expected = literal.objective(nodes, values, x, y, rho, lam, breaks, loss)
    np.testing.assert_allclose(fitted.objective, expected, rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_function_on_a_finer_grid_is_better(loss: str) -> None:
    # The straight lines between data points and breaks are the minimizer over all functions, not only over themselves.
    x, y = example(loss, n=12)
    rho, breaks = [1.0, 20.0], [0.5]
    fitted = smooth(x, y, rho, 0.01, breaks=breaks, loss=loss)
    grid = np.unique(np.concatenate([x, breaks, np.linspace(0, 1, 101)]))
    best = literal.objective(grid, fitted(grid), x, y, rho, 0.01, breaks, loss)
    np.testing.assert_allclose(best, fitted.objective, rtol=1e-10)
    rng = np.random.default_rng(1)
    for size in (1e-2, 1e-4):
        moved = fitted(grid) + size * rng.normal(size=(20, len(grid)))
        assert all(literal.objective(grid, f, x, y, rho, 0.01, breaks, loss) > best for f in moved)


@pytest.mark.parametrize("loss", LOSSES)
def test_breaks_at_a_data_point_between_two_and_outside_all(loss: str) -> None:
    x = np.array([0.2, 0.4, 0.5, 0.8])
    y = np.array([1.0, -1.0, 1.0, -1.0])
    for breaks in ([0.4], [0.45], [0.1], [0.9], [0.1, 0.41, 0.42, 0.5, 0.9]):
        rho = [3.0**k for k in range(len(breaks) + 1)]
        nodes, values = getattr(literal, loss)(x, y, rho, 0.05, breaks)
        fitted = smooth(x, y, rho, 0.05, breaks=breaks, loss=loss)
        np.testing.assert_array_equal(fitted.nodes, nodes)
        np.testing.assert_allclose(fitted.values, values, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_the_data_does_not_matter_and_weights_are_repetitions(loss: str) -> None:
    x, y = example(loss)
    times = np.random.default_rng(2).integers(0, 4, len(x))
    order = np.random.default_rng(3).permutation(times.sum())
    repeated = smooth(np.repeat(x, times)[order], np.repeat(y, times)[order], [1, 4], 0.01, breaks=[0.5], loss=loss)
    weighted = smooth(x, y, [1, 4], 0.01, breaks=[0.5], loss=loss, weights=0.1 * times)
    np.testing.assert_allclose(weighted(x), repeated(x), atol=1e-8)
    np.testing.assert_allclose(weighted.objective, repeated.objective, rtol=1e-10)


@pytest.mark.parametrize("loss", LOSSES)
def test_only_the_product_of_lambda_and_rho_matters_and_a_break_of_equal_rho_does_not(loss: str) -> None:
    x, y = example(loss)
    one = smooth(x, y, [1, 4], 0.02, breaks=[0.5], loss=loss)
    other = smooth(x, y, [10, 40, 40], 0.002, breaks=[0.5, 0.6], loss=loss)
    np.testing.assert_allclose(one(x), other(x), atol=1e-9)


def test_squared_loss_is_linear_in_y_and_logistic_loss_odd() -> None:
    x, y = example("squared")
    fitted = smooth(x, y, 1, 0.01, loss="squared")
    np.testing.assert_allclose(smooth(x, 3 * y + 5, 1, 0.01, loss="squared")(x), 3 * fitted(x) + 5, atol=1e-9)
    x, y = example("logistic")
    np.testing.assert_allclose(smooth(x, -y, 1, 0.01)(x), -smooth(x, y, 1, 0.01)(x), atol=1e-9)


def test_a_shrunk_domain_needs_a_shrunk_lambda() -> None:
    # with u = x / 4 the integral of f'² over x is a quarter of that over u
    x, y = example("logistic")
    np.testing.assert_allclose(smooth(x / 4, y, 1, 0.01 / 4)(x / 4), smooth(x, y, 1, 0.01)(x), atol=1e-9)


def test_a_large_lambda_gives_a_constant() -> None:
    for lam in (1e6, 1e15, 1e200):
        x, y = example("squared")
        np.testing.assert_allclose(smooth(x, y, 1, lam, loss="squared").values, y.mean(), atol=1e-6)
        x, y = example("logistic")
        np.testing.assert_allclose(smooth(x, y, 1, lam).values, logit((y > 0).mean()), atol=1e-6)


def test_a_small_lambda_interpolates() -> None:
    x, y = example("squared")
    fitted = smooth(x, y, 1, 1e-14, loss="squared")
    np.testing.assert_allclose(fitted(x), y, atol=1e-7)
    x, y = example("logistic")
    fitted = smooth(x, y, 1, 1e-14)
    assert fitted.converged
    assert (y * fitted(x) > 10).all()
    halved = smooth(x, y, 1, 1e-28)  # f grows by about log 2 for every halving of λ
    assert 25 < np.abs(halved(x)).min() - np.abs(fitted(x)).min() + 10 < 45


def test_separable_labels_have_a_finite_minimizer() -> None:
    x = np.linspace(0, 1, 30)
    fitted = smooth(x, np.where(x < 0.5, -1, 1), 1, 1e-3)
    assert fitted.converged
    assert 1 < np.abs(fitted.values).max() < 20
    assert (np.diff(fitted.values) > 0).all()


def test_one_example_of_a_class_among_many_of_the_other() -> None:
    # from the common log-odds a whole Newton step leads far beyond the minimum, where the next system is singular
    x, y = np.linspace(0, 1, 400), np.full(400, -1.0)
    y[150] = 1
    fitted = smooth(x, y, 1, 1e-6)
    assert fitted.converged
    assert fitted.steps < 30
    np.testing.assert_allclose(fitted.values, literal.logistic(x, y, [1], 1e-6, [])[1], atol=1e-7)


def test_examples_at_one_place_give_their_mean_or_log_odds() -> None:
    assert smooth([0.3] * 4, [1, 2, 3, 6], 1, 1, loss="squared")(0.9) == pytest.approx(3)
    assert smooth([0.3] * 4, [1, 1, 1, -1], 1, 1)(0.9) == pytest.approx(np.log(3))
    assert smooth([0.3] * 4, [1, 2, 3, 6], 1, 1, loss="squared").objective == pytest.approx(14 / 8)


def test_points_next_to_each_other_are_as_good_as_one() -> None:
    # 2λρ/h is 1e17 and more here: in a system of the values alone it would swallow the data's share
    x, y = example("logistic", n=200)
    near = np.clip(np.nextafter(x, 1), 0, 1)
    doubled = smooth(np.concatenate([x, near]), np.concatenate([y, y]), 1, 1.0)
    np.testing.assert_allclose(doubled(x), smooth(x, y, 1, 1.0)(x), atol=1e-9)


def test_is_constant_outside_the_data_and_keeps_shapes() -> None:
    fitted = smooth([0.3, 0.6], [0.0, 1.0], 1, 1e-3, loss="squared")
    assert fitted(0.0) == fitted(0.3)
    assert fitted([[0.6, 1.0]]).shape == (1, 2)
    assert fitted(0.45) == pytest.approx(0.5)


GOOD = {"x": [0.1, 0.5, 0.9], "y": [1, -1, 1], "rho": [1.0, 2.0], "lam": 0.1, "breaks": [0.5]}


NAN = pytest.approx(np.nan, nan_ok=True)


@pytest.mark.parametrize(
    ("change", "setting", "value", "rule"),
    [
        ({"x": [0.1, np.nan, 0.9]}, "smooth: x[1]", NAN, "finite"),
        ({"x": [0.1, 0.5, 1.5]}, "smooth: x[2]", 1.5, "in [0, 1]"),
        ({"x": [-0.1, 0.5, 0.9]}, "smooth: x[0]", -0.1, "in [0, 1]"),
        ({"x": [0.1, 0.5]}, "smooth", "x [2], y [3]", ""),
        ({"x": [], "y": []}, "smooth", "x [0], y [0]", ""),
        ({"x": ["a", "b", "c"]}, "smooth: x", None, "must be numbers"),
        ({"y": [0, 1, 1]}, "smooth: y[0]", 0, "takes −1 and 1"),
        ({"y": [1, 1, 1]}, "smooth: y", 1, "both classes"),
        ({"y": [1, np.inf, 1], "loss": "squared"}, "smooth: y[1]", np.inf, "finite"),
        ({"weights": [1, 0, 1]}, "smooth: y", 1, "both classes"),
        ({"weights": [1, -1, 1]}, "smooth: weights[1]", -1, ""),
        ({"weights": [0, 0, 0]}, "smooth: weights", 0, ""),
        ({"weights": [1, 1]}, "smooth", "x [3], y [3], weights [2]", ""),
        ({"rho": [1.0, 0.0]}, "smooth: rho[1]", 0, "above 0"),
        ({"rho": [1.0, -2.0]}, "smooth: rho[1]", -2, "above 0"),
        ({"rho": [1.0]}, "smooth: rho", [1], "1 breaks make 2 groups"),
        ({"rho": [1.0, np.nan]}, "smooth: rho[1]", NAN, "finite"),
        ({"breaks": [0.0]}, "smooth: breaks", [0.0], ""),
        ({"breaks": [0.6, 0.5], "rho": [1, 1, 1]}, "smooth: breaks", [0.6, 0.5], ""),
        ({"breaks": [0.5, 0.5], "rho": [1, 1, 1]}, "smooth: breaks", [0.5, 0.5], ""),
        ({"lam": 0}, "smooth: lam", 0, "one number above 0"),
        ({"lam": -1.0}, "smooth: lam", -1, "one number above 0"),
        ({"lam": np.nan}, "smooth: lam", NAN, "finite"),
        ({"lam": [1.0, 2.0]}, "smooth: lam", [1.0, 2.0], "one number above 0"),
        ({"lam": 1e-320}, "smooth: lam", 1e-320, "within rounding"),
        ({"loss": "hinge"}, "loss", "hinge", ""),
        ({"loss": "sqared"}, "loss", "sqared", "did you mean 'squared'?"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], setting: str, value: object, rule: str) -> None:
    with refused(setting, value, rule=rule):
        smooth(**(GOOD | change))


def test_memory_grows_in_proportion_to_n() -> None:
    def most(n: int) -> int:
        x, y = example("logistic", n)
        tracemalloc.start()
        smooth(x, y, 1, 1e-3 * n**-0.4)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert most(50_000) < 10 * most(5_000) * 1.5  # n² would be 100 times as much


# Theorem 1. f* = cos(4πt) is flat at 0, at 1 and where ρ jumps.
MIDPOINTS = (np.arange(1000) + 0.5) / 1000
TRUTH = np.cos(4 * np.pi * MIDPOINTS)
BEND = -((4 * np.pi) ** 2) * TRUTH
INFORMATION = expit(TRUTH) * expit(-TRUTH)


def simulated_mse(
    n: int, rho: float | np.ndarray, repeats: int, density: float = 1.0, loss: str = "logistic"
) -> np.ndarray:
    """The squared error over each half [repeats, 2]; the left half has the given density, λ = 1."""
    errors = []
    for seed in range(repeats):
        rng = np.random.default_rng([n, seed])
        x = rng.random(n) / 2 + (rng.random(n) > density / 2) / 2
        f = np.cos(4 * np.pi * x)
        y = np.where(rng.random(n) < expit(f), 1.0, -1.0) if loss == "logistic" else f + rng.normal(size=n)
        fitted = smooth(x, y, np.broadcast_to(rho, 2), 1.0, breaks=[0.5], loss=loss)
        errors.append(((fitted(MIDPOINTS) - TRUTH) ** 2).reshape(2, -1).mean(1) / 2)
    return np.array(errors)


@pytest.mark.slow
def test_simulated_error_falls_with_the_slope_and_the_size_of_theorem_1() -> None:
    sizes = np.array([2_000, 8_000, 32_000, 128_000])
    simulated, predicted = [], []
    for n, repeats in zip(sizes, (60, 30, 16, 6), strict=True):
        rho = 0.0015 * n**-0.4
        simulated.append(simulated_mse(n, rho, repeats).sum(1).mean())
        predicted.append(predicted_mse(rho * BEND, 1, INFORMATION, rho, 1, n).mse)
    assert np.polyfit(np.log(sizes), np.log(predicted), 1)[0] == pytest.approx(-4 / 5, abs=1e-9)
    assert np.polyfit(np.log(sizes), np.log(simulated), 1)[0] == pytest.approx(-4 / 5, abs=0.06)
    assert simulated[-1] / predicted[-1] == pytest.approx(1, abs=0.12)


def squared_bias(f: np.ndarray, rho: list[float], breaks: list[float]) -> float:
    """The squared error where the data are without noise and everywhere, with the squared loss and λ = 1."""
    x = (np.arange(len(f)) + 0.5) / len(f)
    return float(np.mean((smooth(x, f, rho, 1.0, breaks=breaks, loss="squared")(x) - f) ** 2))


def test_bias_is_that_of_theorem_1_where_f_is_flat_at_the_ends() -> None:
    wave, rho, frequency = np.cos(4 * np.pi * (np.arange(20_000) + 0.5) / 20_000), 1e-5, 4 * np.pi
    expected = predicted_mse(-rho * frequency**2 * wave, 1, 1, rho, 1, 10**9).squared_bias
    averaged = (1 + 2 * rho * frequency**2) ** -2  # the whole value for a cosine; in the limit 1
    np.testing.assert_allclose(squared_bias(wave, [rho], []), averaged * expected, rtol=1e-3)


def test_layers_of_a_straight_line_are_those_of_the_docstring() -> None:
    # f* = x has no curvature: all the bias is in the layers, at both ends and where ρ jumps; qI = 1, f*' = 1
    line, (left, right) = (np.arange(20_000) + 0.5) / 20_000, (2e-4, 1e-5)
    ends = ((2 * left) ** 1.5 + (2 * right) ** 1.5) / 2
    np.testing.assert_allclose(squared_bias(line, [left], []), (2 * left) ** 1.5, rtol=1e-3)
    e = 2 * (right - left) / (np.sqrt(2 * left) + np.sqrt(2 * right))
    jump = e**2 * (np.sqrt(2 * left) + np.sqrt(2 * right)) / 2
    np.testing.assert_allclose(squared_bias(line, [left, right], [0.49999]), ends + jump, rtol=5e-3)


@pytest.mark.slow
def test_best_rho_goes_with_the_density_to_three_fifths() -> None:
    # the two halves are alike but for 9 times the density, so each half's best ρ can be sought by itself
    n, density = 20_000, 1.8

    def best(half: int) -> float:
        def error(log_rho: float) -> float:
            return float(simulated_mse(n, np.exp(log_rho), 8, density, "squared")[:, half].mean())

        return float(
            minimize_scalar(error, bounds=(np.log(1e-5), np.log(1e-2)), method="bounded", options={"xatol": 0.05}).x
        )

    assert (best(0) - best(1)) / np.log(9) == pytest.approx(3 / 5, abs=0.08)


def test_the_prediction_by_hand() -> None:
    # bias² = (2·0.1·3/(2·0.25))² = 1.44; variance = ½·4·¼ / √(2·0.25·2·0.1·5) / 100
    predicted = predicted_mse(3, 2, 0.25, 5, 0.1, 100, score_variance=0.5)
    assert predicted.squared_bias == pytest.approx(1.44)
    assert predicted.variance == pytest.approx(0.5 / np.sqrt(0.5) / 100)
    assert predicted.mse == predicted.squared_bias + predicted.variance
    mixed = predicted_mse([3, 0], [2, 2], 0.25, 5, 0.1, 100)
    assert mixed.squared_bias == pytest.approx(0.72)
    assert mixed.variance == pytest.approx(0.25 / np.sqrt(0.5) / 100)


def test_predictions_refuse_values_out_of_range() -> None:
    with refused("predicted_mse: density[1]", 0):
        predicted_mse(1, [1, 0], 1, 1, 1, 10)
    with refused("predicted_mse: bend", NAN):
        predicted_mse(np.nan, 1, 1, 1, 1, 10)
    with refused("predicted_mse", "bend [2], density [3]"):
        predicted_mse([1, 2], [1, 2, 3], 1, 1, 1, 10)
