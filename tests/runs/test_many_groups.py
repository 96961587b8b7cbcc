"""A run of more groups than its report lists: a table has all, and the folder is still a run's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import skedastic as sk
from skedastic.report.listed import MOST_LISTED
from skedastic.runs.folder import GROUPS, is_ours


def test_a_run_of_many_groups_has_all_of_them_in_a_table(tmp_path: Path) -> None:
    groups, rng = MOST_LISTED + 20, np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=3 * groups)})
    y, site = (x["a"] > 0).astype(int), np.array([f"s{i % groups}" for i in range(3 * groups)])
    result = sk.fit(x, y, method="erm", groups=site, train=sk.TrainingConfig(epochs=1))
    result.save(tmp_path / "run")
    assert pq.read_table(tmp_path / "run" / GROUPS).num_rows == groups
    assert f"<code>{GROUPS}</code> has all" in (tmp_path / "run" / "report.html").read_text("utf-8")
    assert is_ours(tmp_path / "run")
    result.save(tmp_path / "run", force=True)
    assert sk.load(tmp_path / "run").groups == result.groups
