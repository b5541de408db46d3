"""What each head of UNet++ costs, and how good it is: parameters, multiply-adds, time, Dice and IoU.

Run: python scripts/bench/pruned_heads.py [--size 256] [--device cuda] [--rounds 9] [--run RUN]. Time is the median of
rounds that alternate between the heads, on one thread (time of the process on a CPU, on the clock with synchronisation
on a GPU); the ratios are those to head 4. With --run, the folder of a run that trained a `UNetPlusPlus` with deep
supervision, the network is that of the run, and its best model validates each head on the run's validation section.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch.utils.flop_counter import FlopCounterMode

from monai_seg.inference import load_weights
from monai_seg.networks import UNetPlusPlus

HEADS = (1, 2, 3, 4)
FEATURES = (16, 16, 32, 64, 128, 16)  # of the bundle building_aerial_segmentation
METRICS = ("dice", "iou")  # as the bundle's validate section names them


def open_run(run: Path) -> ConfigParser:
    """The configuration that ran, for another look at its validation section."""
    config = run / "config.yaml"
    if not config.is_file():
        sys.exit(f"{run} is no run: it holds no config.yaml")
    parser = ConfigParser()
    parser.read_config(str(config))
    # The run names its bundle only by the place that it was started from; this one writes nothing there.
    parser.update({"bundle_root": str(run), "run_dir": str(run), "resume": False, "compile": False})
    return parser


def network_of(parser: ConfigParser) -> UNetPlusPlus:
    network = parser.get_parsed_content("network")
    if not isinstance(network, UNetPlusPlus) or network.trained_heads != HEADS:
        sys.exit(f"the run trained a {type(network).__name__} without four heads; name one with deep supervision")
    load_weights(network, parser.get_parsed_content("run_folder").best_model)
    return network


def validated(parser: ConfigParser, network: UNetPlusPlus) -> dict[int, dict[str, float]]:
    """The bundle's own validation, once for each head: means over its cases."""
    evaluator = parser.get_parsed_content("validate#evaluator")
    found = {}
    for network.head in HEADS:
        evaluator.run()
        found[network.head] = {name: float(evaluator.state.metrics[name]) for name in METRICS}
    return found


def multiply_adds(network: torch.nn.Module, tile: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        network(tile)
    return counter.get_total_flops() / 2


def timed(network: torch.nn.Module, tile: torch.Tensor) -> float:
    clock = time.perf_counter if tile.is_cuda else time.process_time
    if tile.is_cuda:
        torch.cuda.synchronize()
    began = clock()
    network(tile)
    if tile.is_cuda:
        torch.cuda.synchronize()
    return clock() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scores: dict[int, dict[str, float]] = {}
    if options.run:
        run = open_run(options.run.resolve())
        network = network_of(run)
        scores = validated(run, network)
    else:
        network = UNetPlusPlus(2, 3, 1, FEATURES, deep_supervision=True)
    network.to(options.device).eval()
    tile = torch.rand(1, network.in_channels, options.size, options.size, device=options.device)
    lean = {}
    for network.head in HEADS:
        lean[network.head] = network.pruned()
    times: dict[int, list[float]] = {head: [] for head in HEADS}
    with torch.inference_mode():
        operations = {head: multiply_adds(one, tile) for head, one in lean.items()}  # warms up too
        for _ in range(options.rounds):
            for head, one in lean.items():
                times[head].append(timed(one, tile))
    medians = {head: statistics.median(spent) for head, spent in times.items()}
    names = METRICS if scores else ()
    sys.stdout.write(
        f"one tile of {options.size} x {options.size}\n"
        "head  parameters  ratio  multiply-adds  ratio   time (ms)  ratio" + "".join(f"{n:>8}" for n in names) + "\n"
    )
    parameters = {head: sum(item.numel() for item in one.parameters()) for head, one in lean.items()}
    for head in HEADS:
        sys.stdout.write(
            f"{head:>4}  {parameters[head]:>10,}  {parameters[head] / parameters[4]:5.2f}"
            f"  {operations[head] / 1e9:>11.2f} G  {operations[head] / operations[4]:5.2f}"
            f"  {medians[head] * 1000:>10.1f}  {medians[head] / medians[4]:5.2f}"
            + "".join(f"{scores[head][name]:8.4f}" for name in names)
            + "\n"
        )


if __name__ == "__main__":
    main()
