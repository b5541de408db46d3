"""Triton kernels of surfaces: the table of PyTorch, number by number; no waiting for the host; they compile for GPUs.

Run as a script, this file compares them for many small cases and prints what it found: Triton's interpreter has to be
chosen before Triton is imported, so that the tests do this in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from monai_seg.metrics.masks import mask_pair
from monai_seg.metrics.surface import grid, within
from monai_seg.metrics.surface.elements import SurfaceElements
from monai_seg.metrics.surface.lattice import CORNERS, VOXELS

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: the kernels ran in the interpreter only")

SPACING, KINDS = (0.7, 2.5, 1.1), (CORNERS, VOXELS)
Sides = tuple[torch.Tensor, ...]


@dataclass
class Case:
    """A batch to be counted.

    Attributes:
        tolerances: of each class.
        spacing: taken in turn by the maps.
        words: how large the bitmaps may be that the kernels have at once.
    """

    name: str
    masks: Sides
    classes: int
    tolerances: tuple[float, ...]
    spacing: tuple[tuple[float, ...], ...] = ()
    single: bool = False
    words: int | None = None
    kinds: tuple[str, ...] = (CORNERS,)

    def tables(self, kind: str, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
        """By PyTorch on the processor, and by the kernels on a device."""
        known, found = (self._table(kind, *each) for each in (("cpu", False), (device, True)))
        return known, found.cpu()

    def _table(self, kind: str, device: str, kernels: bool) -> torch.Tensor:
        masks = mask_pair(*(each.to(device) for each in self.masks), self.classes)
        maps = len(masks.prediction)
        spacing = self.spacing or ((1.0,) * (masks.prediction.ndim - 1),)
        spacing = [spacing[index % len(spacing)] for index in range(maps)]
        # Where channels overlap, each is a map with a tolerance.
        rows = [self.tolerances] * maps if masks.classes > 1 else [[each] for each in self.tolerances] * masks.batch
        with pytest.MonkeyPatch.context() as patch:
            if self.words and kernels:
                patch.setattr(grid, "_MOST_WORDS", dict.fromkeys(("cpu", "other"), self.words))
            return within.counts_within(SurfaceElements(masks, kind), spacing, rows, self.single, kernels)


def noise(seed: int, labels: int, *shape: int, batch: int = 1) -> Sides:
    """At nearly every corner more than two labels meet."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(0, labels, (batch, 1, *shape), generator=draw) for _ in range(2))


def specks(seed: int, labels: int, *shape: int) -> Sides:
    """Few and far from each other."""
    draw = torch.Generator().manual_seed(seed)
    maps = noise(seed, labels, *shape)
    return tuple(each * (torch.rand(each.shape, generator=draw) < 0.02) for each in maps)


def boxes(*shape: int) -> Sides:
    """Two classes that touch each other and the border of the image, moved by a voxel or two."""
    masks = torch.zeros(2, 1, 1, *shape, dtype=torch.int64)
    for side, first in enumerate((1, 3)):
        inner = tuple(slice(first, size - 2 + side) for size in shape[1:])
        masks[(side, 0, 0, slice(first, 6), *inner)] = 1
        masks[(side, 0, 0, slice(6, None), *inner)] = 2
    return masks[0], masks[1]


def cases() -> Iterator[Case]:
    for shape in ((9, 11), (4, 6, 5)):
        dims, name = len(shape), f"{len(shape)}D"
        size, swapped = SPACING[:dims], SPACING[3 - dims :]
        yield Case(f"{name} junctions", noise(1, 5, *shape), 5, (0.0, 1.0, 2.0, 0.5), kinds=KINDS)
        yield Case(f"{name} by case", noise(3, 3, *shape, batch=2), 3, (0.75, 3.0), (size, swapped))
        yield Case(f"{name} in shares", noise(5, 3, *shape, batch=2), 3, (0.5, 1.5), words=20)
        yield Case(f"{name} boxes", boxes(*(n + 5 for n in shape)), 3, (1.0, 2.0), (size,), kinds=KINDS)
        yield Case(f"{name} far", specks(6, 3, *(n * (5 - dims) for n in shape)), 3, (9.0 - 2 * dims, 10.0 - 2 * dims))
        draw = torch.Generator().manual_seed(7)
        overlapping = tuple(torch.randint(0, 2, (2, 3, *shape), generator=draw) for _ in range(2))
        yield Case(f"{name} overlapping", overlapping, 3, (0.5, 1.0), (size,))
        yield Case(f"{name} 700", noise(7, 700, *shape), 700, (0.0, 1.5, 3.0) * 233)
    one, empty, full = noise(8, 2, 9, 11)[0], torch.zeros(1, 1, 9, 11), torch.ones(1, 1, 9, 11)
    for name, masks in {"one empty": (one, empty), "both empty": (empty, empty), "full": (full, one)}.items():
        yield Case(name, masks, 2, (1.0,), kinds=KINDS)
    yield Case("float32", noise(4, 2, 9, 11), 2, (0.7,), (SPACING[:2],), single=True)
    yield Case("256 labels", noise(256, 256, 9, 11), 256, (0.0, 1.5, 3.0) * 85)
    for shape in ((1, 1), (1, 9), (300, 1), (1, 1, 7), (6, 1, 1), (1, 4, 5)):
        yield Case(f"shape {shape}", noise(sum(shape) + 1, 3, *shape), 3, (1.0, 2.0), kinds=KINDS)


def compare(device: str) -> list[dict]:
    """For each case and kind: how many elements there are, how many are hits, and how many numbers differ."""
    findings = []
    for case in cases():
        for kind in case.kinds:
            expected, found = case.tables(kind, device)
            hits, total = int(expected[..., 1].sum()), int(expected.sum())
            differ = int((expected != found).sum()) if expected.shape == found.shape else -1
            findings.append({"case": f"{case.name}, {kind}", "total": total, "hits": hits, "differ": differ})
    return findings


def check(findings: list[dict]) -> None:
    assert [each for each in findings if each["differ"]] == []
    # Neither all of them nothing, nor all of them hits.
    assert sum(0 < each["hits"] < each["total"] for each in findings) > len(findings) / 2


@needs_triton
def test_interpreter_counts_what_pytorch_counts():
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    check(json.loads(run.stdout))


@needs_triton
@needs_gpu
def test_gpu_counts_what_pytorch_counts():
    check(compare("cuda"))


@needs_triton
@needs_gpu
def test_captured_in_a_graph_and_replayed_with_other_masks():
    sides, others = ([each.cuda() for each in noise(seed, 3, 20, 30, 17)] for seed in (1, 2))
    masks = mask_pair(*sides, 3)

    def counts(kernels: bool) -> torch.Tensor:
        return within.counts_within(SurfaceElements(masks), [(1.0,) * 3], [(1.0, 2.0)], kernels=kernels)

    counts(True)  # copies tables
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        table = counts(True)
    for labels, other in zip((masks.prediction, masks.reference), others, strict=True):
        labels.copy_(other[:, 0])
    graph.replay()
    assert torch.equal(table, counts(False))


class Operations(TorchDispatchMode):
    """The names of the operations that are asked of PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.name().removeprefix("aten::").split(".")[0])
        return function(*args, **(kwargs or {}))


class NotLaunched:
    """In place of a kernel, which takes a GPU."""

    def __init__(self) -> None:
        self.launches = 0

    def __getitem__(self, programs: tuple[int, ...]):
        def launch(*arguments, **options) -> None:
            self.launches += 1

        return launch


@needs_triton
def test_second_call_copies_nothing_and_asks_the_device_nothing(monkeypatch):
    from monai_seg.metrics.surface import kernels

    stubs = [NotLaunched() for _ in range(2)]
    monkeypatch.setattr(kernels, "mark_elements", stubs[0])
    monkeypatch.setattr(kernels, "count_elements", stubs[1])
    masks = mask_pair(*noise(1, 3, 9, 7, 5, batch=2), 3)
    seen = []
    for _ in range(2):
        with Operations() as operations:
            within.counts_within(SurfaceElements(masks), [(1.0, 2.0, 3.0)] * 2, [(1.25, 2.5)] * 2, kernels=True)
        seen.append(operations.names)
    assert "cat" in seen[0]
    assert seen[1] <= {"zeros", "empty", "sum", "add_", "view"}
    assert [stub.launches for stub in stubs] == [2, 2]


ON_GPU = (torch.device("cpu"), 3, CORNERS, torch.uint8)  # on which nothing but the kernels differs


@pytest.fixture
def fake_kernels(monkeypatch):
    """Kernels that do what they are told."""
    fake = SimpleNamespace(counts=None)
    monkeypatch.setattr(within, "_kernels", lambda: fake)
    within.kernels_agree.cache_clear()
    yield fake
    within.kernels_agree.cache_clear()


@needs_triton
def test_kernels_that_fail_or_miscount_are_left_alone(fake_kernels, caplog):
    def fail(*arguments):
        raise RuntimeError("Failed to find C compiler")

    fake_kernels.counts = fail
    assert not within.kernels_agree(*ON_GPU)
    assert "without Triton kernels: Failed to find C compiler" in caplog.text
    within.kernels_agree.cache_clear()
    fake_kernels.counts = lambda elements, *rest: 0
    assert not within.kernels_agree(*ON_GPU)
    assert "they count wrongly" in caplog.text


def test_no_kernels_without_triton(monkeypatch, fake_kernels):
    monkeypatch.setattr(within.importlib.util, "find_spec", lambda name: None)
    assert not within.kernels_agree(*ON_GPU)


VARIANTS = [(3, CORNERS, "u8"), (2, CORNERS, "i32"), (3, VOXELS, "i32"), (2, VOXELS, "u8")]


@needs_triton
@pytest.mark.parametrize(
    ("dims", "kind", "labels"), [VARIANTS[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in VARIANTS[1:])]
)
def test_compiled_for_a_gpu_without_one(dims, kind, labels, tmp_path, monkeypatch):
    from triton import compile as triton_compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from monai_seg.metrics.surface import kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {"DIMS": dims, "BORDER": kind == VOXELS, "BLOCK": kernels.BLOCK, "TOGETHER": kernels.TOGETHER}
    pointers = {"prediction": labels, "reference": labels, "maps": "i32", "words": "i64", "busy": "u8"}
    pointers |= {"offsets": "i64", "masks": "i64", "variants": "i32", "table": "i64"}
    for kernel, atomic in ((kernels.mark_elements, "or.b64"), (kernels.count_elements, "add.u64")):
        known = {name: value for name, value in constants.items() if name in kernel.arg_names}
        signature = {name: f"*{pointers[name]}" if name in pointers else "i32" for name in kernel.arg_names}
        source = ASTSource(kernel, signature | dict.fromkeys(known, "constexpr"), constexprs=known)
        built = triton_compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": kernels.WARPS})
        assert f"atom.global.gpu.relaxed.{atomic}" in built.asm["ptx"]


if __name__ == "__main__":
    if "monai_seg.metrics.surface.kernels" in sys.modules:
        raise ImportError("monai_seg.metrics imports the kernels, and with them Triton")
    sys.stdout.write(json.dumps(compare("cpu")))
