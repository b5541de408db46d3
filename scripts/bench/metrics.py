"""Time and memory of our surface and overlap metrics beside those of their peers, on the same masks.

Run: python scripts/bench/metrics.py [--cases 2d-good organs] [--metrics nsd] [--device cuda] [--json FILE]. For each
case and contender the table has

- the time: median of rounds that alternate between the contenders, in one process. On a CPU this is the time of the
  process (`time.process_time`) on --threads threads, in which the machine's other work does not count; on a GPU the
  time on the clock, between synchronisations.
- the ratio of medians to ours in the same definition, and the least and largest ratio in a round.
- the memory: how far the first call rises above what was held before, in a fresh process after a call on tiny masks.
  On a CPU this is the high-water mark of the resident set (VmHWM, reset through /proc/self/clear_refs, so on Linux
  only), on a GPU `torch.cuda.max_memory_allocated`. The peers' masks are there before and are not counted.
- the largest difference of a value to ours, and what is to be thought of it: "same" up to the number format of the
  peer, "other definition", or "DIFFERS", which no row should have; the script then exits with 1.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from metric_cases import MAKERS, Case, make_case
from metric_contenders import METRICS, Contender, Inputs, contenders, values

MOST_ROUNDS, ENOUGH_S = 25, 5.0  # short calls vary more, so they are given more rounds
PACKAGES = ("torch", "monai", "scipy", "numpy", "surface-distance", "distorch", "cucim")


@dataclass
class Row:
    """What was measured of one contender on one case."""

    case: str
    metric: str
    contender: str
    times_s: list[float] = field(default_factory=list)
    compared_with: str | None = None
    ratio: float | None = None
    ratio_range: tuple[float, float] | None = None
    memory_mib: float | None = None
    largest_difference: float | None = None
    agreement: str | None = None

    @property
    def median_s(self) -> float:
        return statistics.median(self.times_s)


def timed(contender: Contender, inputs: Inputs) -> tuple[float, torch.Tensor]:
    arguments = contender.prepare(inputs)
    on_gpu = inputs.labels[0].is_cuda
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize()
    began = clock()
    found = contender.compute(inputs.case, *arguments)
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - began, values(found)


def measure(
    case: Case, entrants: list[Contender], device: torch.device, rounds: int, enough_s: float = ENOUGH_S
) -> list[Row]:
    """Rows of the contenders on a case, without their memory, after ``rounds`` and while there is time for more."""
    inputs = Inputs(case, device)
    rows = {(each.metric, each.name): Row(case.title, each.metric, each.name) for each in entrants}
    found: dict[tuple[str, str | None], torch.Tensor] = {}
    began, turn = time.monotonic(), 0
    while turn <= rounds or (turn <= MOST_ROUNDS and time.monotonic() - began < enough_s):
        for each in entrants:
            duration, found[each.metric, each.name] = timed(each, inputs)
            if turn:  # the first round warms up
                rows[each.metric, each.name].times_s.append(duration)
        turn += 1
    for each in entrants:
        if each.pair is not None:
            row, ours = rows[each.metric, each.name], rows[each.metric, each.pair]
            row.compared_with, row.ratio = each.pair, row.median_s / ours.median_s
            ratios = [peer / own for peer, own in zip(row.times_s, ours.times_s, strict=True)]
            row.ratio_range = (min(ratios), max(ratios))
            row.largest_difference = difference(found[each.metric, each.name], found[each.metric, each.pair])
            row.agreement = agreement(row.largest_difference, each.rounding)
    return list(rows.values())


def difference(peer: torch.Tensor, ours: torch.Tensor) -> float:
    """Largest difference; infinite where only one of both is undefined."""
    undefined = peer.isnan() & ours.isnan()
    equal = undefined | (peer == ours)
    return (peer - ours).abs().nan_to_num(nan=torch.inf).masked_fill(equal, 0).max().item()


def agreement(largest: float, rounding: float | None) -> str:
    if rounding is None:
        return "other definition"
    return "same" if largest <= rounding else "DIFFERS"


def tiny(case: Case) -> Case:
    """Small masks of another spacing: they load what is loaded once, and fill no table that the case can use."""
    sides = (8,) * len(case.spacing_mm)
    labels = torch.zeros(1, 1, *sides, dtype=torch.uint8)
    for label in range(1, case.num_classes):
        labels.view(-1)[label::8][label * 2 :] = label
    spacing_mm = tuple(1.25 * size for size in case.spacing_mm)
    return Case("tiny", labels, labels.flip(2), case.num_classes, spacing_mm, 1.1 * case.tolerance_mm)


def memory_mib(case_file: str, metric: str, name: str, device: str, threads: int) -> float | None:
    """How far the first call of a contender rises above what was held before; to be run in a fresh process."""
    torch.set_num_threads(threads)
    case, place = torch.load(case_file, weights_only=False), torch.device(device)
    contender = next(each for each in contenders([metric], place)[0] if each.name == name)
    warm_up, inputs = Inputs(tiny(case), place), Inputs(case, place)
    contender.compute(warm_up.case, *contender.prepare(warm_up))
    arguments = contender.prepare(inputs)
    gc.collect()
    if place.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        contender.compute(case, *arguments)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (AttributeError, OSError):
        return None
    before = resident_kib("VmRSS")
    contender.compute(case, *arguments)
    return (resident_kib("VmHWM") - before) / 2**10


def resident_kib(entry: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{entry}:"))


def add_memory(rows: list[Row], case: Case, device: str, threads: int) -> None:
    # A server that has imported what is slow to import forks a process for each measurement.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monai.metrics", "monai_seg.metrics", "scipy.spatial", "scipy.ndimage"])
    with tempfile.TemporaryDirectory() as folder:
        case_file = str(Path(folder) / "case.pt")
        torch.save(case, case_file)
        for row in rows:
            with ProcessPoolExecutor(1, mp_context=context) as fresh:
                call = fresh.submit(memory_mib, case_file, row.metric, row.contender, device, threads)
                row.memory_mib = call.result()


def line(row: Row) -> str:
    memory = "-" if row.memory_mib is None else f"{row.memory_mib:.0f}"
    start = f"    {row.contender:<36} {row.median_s * 1000:>9.1f}  "
    if row.ratio is None or row.ratio_range is None:
        return f"{start}{'1':>6} {'':<15} {memory:>7}"
    spread = f"({row.ratio_range[0]:.3g} to {row.ratio_range[1]:.3g})"
    return f"{start}{row.ratio:>6.3g} {spread:<15} {memory:>7}  {row.largest_difference:>8.1e}  {row.agreement}"


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds at least, after one that warms up")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch on a CPU")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hippocampus", type=Path, metavar="DIR", help="the dataset, instead of made-up masks")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory, which is half of the time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write all times and settings too")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    entrants, missing = contenders(options.metrics, device)
    where = f"CPU, {options.threads} thread(s), time of the process"
    if device.type == "cuda":
        where = f"{torch.cuda.get_device_name(device)}, time on the clock"
    packages = ", ".join(f"{package} {number}" for package, number in versions().items())
    heading = [f"{where}; medians of {options.rounds} rounds or more; {packages}", *missing]
    heading.append(f"{'':40} {'ms':>9}  {'ratio to ours':<22} {'MiB':>7}  largest difference to ours")
    print("\n".join(heading), flush=True)  # noqa: T201
    rows: list[Row] = []
    for name in options.cases:
        case = make_case(name, options.seed, options.hippocampus)
        found = measure(case, entrants, device, options.rounds)
        if not options.no_memory:
            add_memory(found, case, options.device, options.threads)
        print(case.title)  # noqa: T201
        for metric in options.metrics:
            print(f"  {METRICS[metric]}")  # noqa: T201
            print("\n".join(line(row) for row in found if row.metric == metric), flush=True)  # noqa: T201
        rows += found
    if options.json:
        settings = {key: value for key, value in vars(options).items() if key not in ("json", "hippocampus")}
        report = {"where": where, "settings": settings, "packages": versions(), "missing": missing}
        report["rows"] = [asdict(row) | {"median_s": row.median_s} for row in rows]
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(any(row.agreement == "DIFFERS" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
