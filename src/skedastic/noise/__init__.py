"""Noise: how noisy and how rare each group is, by held-out predictions; groups that are clusters; label issues."""
