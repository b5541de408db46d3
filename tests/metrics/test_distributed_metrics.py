"""Two processes with uneven shares of the cases say what one process says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from monai_seg.metrics.overlap import Dice, Precision, VolumeError
from monai_seg.metrics.pooled_overlap import PooledDice

CLASSES = 4
SHARES = ([0, 2, 3, 5, 6], [1, 4])
METRICS = {
    "dice": lambda: Dice(CLASSES),
    "precision of each class": lambda: Precision(CLASSES, reduction="mean_batch", include_background=True),
    "volume": lambda: VolumeError(CLASSES, signed=True, reduction="sum"),
    "pooled": lambda: PooledDice(CLASSES),
    "pooled, each class": lambda: PooledDice(CLASSES, average=None),
}
needs_gloo = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")


def cases() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Seven cases of differing size; class 3 is in none, class 2 only in those of the first process."""
    draw = torch.Generator().manual_seed(11)
    sides = [[torch.randint(0, 3, (1, 4 + n, 9 - n), generator=draw) for n in range(7)] for _ in range(2)]
    for side in sides:
        for index in SHARES[1]:
            side[index].clamp_(max=1)
    return sides[0], sides[1]


def aggregated(share: list[int]) -> dict[str, list]:
    prediction, reference = cases()
    results = {}
    for name, make in METRICS.items():
        metric = make()
        for index in share:
            metric(prediction[index][None], reference[index][None])
        results[name] = [metric.aggregate().tolist(), len(metric.get_buffer())]
    return results


def process() -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(aggregated(SHARES[rank])))
    torch.distributed.destroy_process_group()


@needs_gloo
@pytest.mark.slow
def test_two_processes_aggregate_as_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", __file__, tmp_path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    expected = aggregated(sorted(SHARES[0] + SHARES[1]))
    for name, (value, count) in expected.items():
        assert first[name][1] == second[name][1] == count == 7
        # The cases come in the order of the processes. Sums of whole numbers do not mind, those of fractions round.
        tolerance = 0 if name.startswith("pooled") else 1e-14
        for found in (first, second):
            assert found[name][0] == pytest.approx(value, rel=tolerance, abs=0, nan_ok=True)


if __name__ == "__main__":
    process()
