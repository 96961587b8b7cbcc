"""The metrics of a test set, one example at a time."""

from __future__ import annotations

from collections.abc import Sequence


def predictions(probabilities: Sequence[Sequence[float]]) -> list[int]:
    """The most probable class of each example, the first of equals."""
    return [max(range(len(row)), key=lambda c: (row[c], -c)) for row in probabilities]


def accuracies(predicted: Sequence[int], labels: Sequence[int], of: Sequence[int], bins: int) -> list[float | None]:
    """The share of right predictions where `of` is 0, 1, …, bins − 1; None where there is no example."""
    rates: list[float | None] = []
    for k in range(bins):
        right = [p == y for p, y, o in zip(predicted, labels, of, strict=True) if o == k]
        rates.append(sum(right) / len(right) if right else None)
    return rates


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are there."""
    present = [v for v in values if v is not None]
    return sum(present) / len(present) if present else None


def calibration_error(probabilities: Sequence[Sequence[float]], labels: Sequence[int], bins: int) -> float:
    """Σ_b |B_b|/m · |accuracy(B_b) − confidence(B_b)| over equal bins of the top probability."""
    predicted = predictions(probabilities)
    error = 0.0
    for b in range(bins):
        members = [
            (max(row), predicted[i] == labels[i])
            for i, row in enumerate(probabilities)
            if b / bins <= max(row) < (b + 1) / bins or (b == bins - 1 and max(row) == 1)
        ]
        error += abs(sum(right - confidence for confidence, right in members)) / len(labels)
    return error
