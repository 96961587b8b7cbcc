"""A table with columns of every kind, for the tests of run folders."""

import numpy as np
import pandas as pd

N = 300


def frame(seed: int = 0, n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    words = np.array(["dull and slow", "fine as such", "great and quick"])
    return pd.DataFrame(
        {
            "id": np.arange(n) + 1000,
            "x": np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n) + y),
            "city": rng.choice([f"city {i}" for i in range(30)], n),
            "day": pd.date_range("2020-01-01", periods=n, freq="11D").strftime("%d.%m.%Y"),
            "said": [f"{words[k]} it was, number {i} of them" for i, k in enumerate(y)],
            "ward": np.array(["n", "s"])[rng.integers(0, 2, n)],
            "label": np.array(["low", "mid", "top"])[np.where(rng.random(n) < 0.1, (y + 1) % 3, y)],
        }
    )


def sharp_rules(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Return ten numbers, and a class that is told by thresholds of three of them."""
    x = np.random.default_rng(0).uniform(-1, 1, (n, 10))
    return x, (((x[:, 0] > 0.37) & (x[:, 1] < 0.42)) | (x[:, 2] > 0.71)).astype(int)
