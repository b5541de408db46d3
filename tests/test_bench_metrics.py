"""The benchmark of the metrics: it runs, compares like with like, and says so where values differ."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

BENCH = Path(__file__).resolve().parents[1] / "scripts" / "bench"
MODULES = ("metrics", "metric_cases", "metric_contenders")


@pytest.fixture
def bench(monkeypatch):
    """The script as a module. Its modules have plain names, so they are forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCH)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import metrics

    assert Path(metrics.__file__).parent == BENCH
    yield metrics
    for name in MODULES:
        sys.modules.pop(name, None)


def test_each_peer_gives_our_values_where_the_definition_is_the_same(bench):
    entrants, _ = bench.contenders(list(bench.METRICS), torch.device("cpu"))
    rows = bench.measure(bench.make_case("hippocampus-1"), entrants, torch.device("cpu"), rounds=1, enough_s=0)
    verdicts = {(row.metric, row.contender): row.agreement for row in rows if row.compared_with}
    assert "DIFFERS" not in verdicts.values()
    assert list(verdicts.values()).count("same") >= 4  # MONAI's two surface Dices, its distances and its overlap
    assert all(len(row.times_s) == 1 and bench.line(row) for row in rows)


@pytest.mark.parametrize("name", ["2d-good", "2d-bad", "2d-noise", "hippocampus-8"])
def test_a_case_holds_all_classes_and_is_the_same_again(bench, name):
    case, again = bench.make_case(name), bench.make_case(name)
    assert torch.equal(case.prediction, again.prediction)
    assert torch.equal(case.reference, again.reference)
    for labels in (*case.prediction, *case.reference):
        assert labels.unique().tolist() == list(range(case.num_classes))


@pytest.mark.parametrize(
    ("peer", "ours", "largest", "verdict"),
    [([0.5, torch.nan], [0.5, torch.nan], 0.0, "same"), ([0.5, 0.2], [0.5, torch.nan], torch.inf, "DIFFERS")],
    ids=["both undefined", "one undefined"],
)
def test_an_undefined_value_agrees_only_with_another(bench, peer, ours, largest, verdict):
    found = bench.difference(torch.tensor(peer), torch.tensor(ours))
    assert found == largest
    assert bench.agreement(found, 1e-6) == verdict
