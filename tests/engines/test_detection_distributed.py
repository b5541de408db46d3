"""Two processes train a detector to what one process makes of their batches together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_detector import ToyDetector, ToyObjects, loader, weights

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines import DetectionTrainer, prepare_network, rank, world_size

EPOCHS, CASES, IMAGES = 3, 8, 4  # images of a step, on all processes together
needs_gloo = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch has no gloo")


def trained(micro_batch_size: int = 0) -> torch.Tensor:
    cases, network = ToyObjects(Path(), CASES), prepare_network(ToyDetector(), torch.device("cpu"))
    sampler = EpochSampler(CASES, rank=rank(), world_size=world_size())
    batches = loader(cases, IMAGES // world_size(), sampler=sampler)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    options = {"amp": False, "micro_batch_size": micro_batch_size, "max_gradient_norm": 0.5}
    trainer = DetectionTrainer(torch.device("cpu"), EPOCHS, batches, network, optimizer, **options)
    trainer.run()
    return weights(trainer)


def process() -> None:
    torch.distributed.init_process_group("gloo")
    ended = {size: trained(size) for size in (0, 1)}
    torch.save(ended, Path(sys.argv[1], f"{rank()}.pt"))
    torch.distributed.destroy_process_group()


@needs_gloo
@pytest.mark.slow
def test_two_processes_train_as_one_also_with_parts_of_batches(tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, __file__, str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{number}.pt") for number in range(2))
    for size in (0, 1):
        assert torch.equal(first[size], second[size])
        assert torch.allclose(first[size], trained(), rtol=0, atol=1e-6)


if __name__ == "__main__":
    process()
