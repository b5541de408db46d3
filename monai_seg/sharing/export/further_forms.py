"""Further forms of a network beside a portable bundle, each run on a real image and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from monai_seg.engines.precision import bare
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.network_program import (
    NETWORK_FORMS,
    exported_program,
    largest_difference,
    run_onnx,
    run_openvino,
    write_onnx,
    write_openvino,
    write_tensorrt,
    write_torchscript,
)
from monai_seg.sharing.export.trained_bundle import TrainedBundle

_MOST = 1e-2  # that a form may differ in a score: more is another network


def write_further_forms(trained: TrainedBundle, folder: Path, image: torch.Tensor, forms: Sequence[str]) -> list[str]:
    """Write the network in other forms.

    Args:
        trained: what is exported.
        folder: ``models`` of the bundle.
        image: what the network sees, ``(B, C, H, W[, D])``.
        forms: of `NETWORK_FORMS`.

    Returns:
        The largest difference of each form from the network, on the image.

    Raises:
        ExportError: there is no such form, its packages are missing, or it is not to be had of this network.
    """
    unknown = [form for form in forms if form not in NETWORK_FORMS]
    if unknown:
        raise ExportError(f"{unknown[0]} is no form of a network; known are {', '.join(NETWORK_FORMS)}")
    if not forms:
        return []
    if trained.workflow.gives == "object":
        raise ExportError(
            f"a detector is not to be had as {', '.join(forms)}: torch.export stops at the number of objects, which "
            "depends on the image, and what the older tracer writes has no input\n"
            "  mend   leave it out; the portable bundle runs the detector's module"
        )
    network = bare(trained.network).cpu()
    program, is_free = exported_program(network, image)
    with torch.no_grad():
        own = network(image)
    told = []
    onnx = folder / "model.onnx"
    if set(forms) - {"torchscript"}:
        write_onnx(program, onnx)
        told.append(_told("model.onnx", run_onnx(onnx, image), own, is_free))
    if "openvino" in forms:
        write_openvino(onnx, folder / "model.xml")
        told.append(_told("model.xml", run_openvino(folder / "model.xml", image), own, is_free))
    if "tensorrt" in forms:
        write_tensorrt(onnx, folder / "model.engine", image)
        told.append("model.engine: built for this GPU, not compared")
    if "torchscript" in forms:
        write_torchscript(network, image, folder / "model.ts")
        with torch.no_grad():
            told.append(_told("model.ts", torch.jit.load(str(folder / "model.ts"))(image), own, is_free=False))
    return told


def _told(file: str, found: object, own: object, is_free: bool) -> str:
    difference = largest_difference(found, own)
    if not difference < _MOST:
        raise ExportError(f"{file} differs from the network by {difference:.3g}; it was not exported")
    sizes = "any size" if is_free else "one size"
    return f"{file} (any batch, {sizes}): scores differ by {difference:.1g} at most"
