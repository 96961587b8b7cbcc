"""Figures over runs of the evidence, counted the long way from their lines."""

import statistics

from scipy.stats import t as student

WAYS = ("plain training", "mixup", "half-balanced mixup", "balanced HAR at 0.3", "linear model")
PEERS = ("cleanlab",)


class ByHand:
    """Figures of some lines, counted the long way."""

    def __init__(self, lines) -> None:
        self.lines = lines
        self.data = [line["run"].split("/")[0] for line in lines]
        source = [name.replace("_minilm", "") for name in self.data]
        self.cluster = source if len(set(source)) > 1 else [line["run"].split("/")[2] for line in lines]

    def column(self, way, figure="balanced"):
        return [line["ways"][way][figure] for line in self.lines]

    def interval(self, figure, level=0.95):
        """figure of a list of positions, with half the interval from leaving out one cluster at a time."""
        whole, names = figure(range(len(self.lines))), sorted(set(self.cluster))
        if len(names) < 3:
            return whole, None
        without = [figure([i for i, own in enumerate(self.cluster) if own != name]) for name in names]
        g = len(names)
        error = ((g - 1) / g * sum((value - whole) ** 2 for value in without)) ** 0.5
        return whole, student.ppf((1 + level) / 2, g - 1) * error

    def gain(self, way, other="plain training", figure="balanced", level=0.95):
        a, b = self.column(way, figure), self.column(other, figure)
        return self.interval(lambda rows: statistics.mean(a[i] - b[i] for i in rows), level)

    def told(self, *given, **named):
        mean, half = self.gain(*given, **named)
        sign = "−" if mean < 0 else "+"
        number = "0.0" if abs(mean) < 0.05 else f"{sign}{abs(mean):.1f}"
        return number + ("" if half is None else f" ± {half:.1f}")

    def counts(self, way):
        gains = [a - b for a, b in zip(self.column(way), self.column("plain training"), strict=True)]
        return f"{sum(g > 0.5 for g in gains)}, {sum(g < -0.5 for g in gains)}"

    def time(self, way):
        ratio = sum(self.column(way, "seconds")) / sum(self.column("plain training", "seconds"))
        return f"{ratio:.1f} ×"

    def mean(self, way):
        return f"{statistics.mean(self.column(way)):.1f}"

    def given_up(self, way):
        return sum(self.column(way, "gives_up"))

    def safe(self):
        return max((way for way in WAYS if not self.given_up(way)), key=lambda way: statistics.mean(self.column(way)))

    def best(self):
        return max((*WAYS, *PEERS), key=lambda way: statistics.mean(self.column(way)))
