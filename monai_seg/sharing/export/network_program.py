"""A network as a program that needs no class of it: ``torch.export``, ONNX, OpenVINO, TensorRT, TorchScript."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from monai_seg.sharing.export.errors import ExportError

NETWORK_FORMS = ("onnx", "openvino", "tensorrt", "torchscript")
_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",), "tensorrt": ("tensorrt",)}


def exported_program(network: torch.nn.Module, example: torch.Tensor) -> tuple[torch.export.ExportedProgram, bool]:
    """The network as a program for any batch and, where it allows that, images of other sizes.

    Args:
        network: in evaluation mode, on the CPU.
        example: ``(B, C, H, W[, D])``, as the network sees it.

    Returns:
        The program, and whether other sizes may come.

    Raises:
        ExportError: ``torch.export`` does not follow the network.
    """
    twice = torch.cat([example[:1]] * 2)  # a batch of one would be taken for the only one
    for free_axes in (range(2, twice.ndim), ()):
        axes = dict.fromkeys((0, *free_axes), torch.export.Dim.AUTO)
        try:
            program = torch.export.export(network, (twice,), dynamic_shapes=(axes,))
            if free_axes:
                _require_alike(program, network, _larger(twice))
        except (RuntimeError, ValueError, AssertionError, TypeError) as error:
            reason = error
            continue
        _forget_sources(program)
        return program, bool(free_axes)
    raise ExportError(f"torch.export does not follow the {type(network).__name__}: {str(reason).splitlines()[0]}")


def largest_difference(one: Any, two: Any) -> float:
    """Of two outputs of a network, a tensor or several."""
    ones, twos = ([each] if isinstance(each, torch.Tensor) else list(each) for each in (one, two))
    return max(float((a - b).abs().max()) for a, b in zip(ones, twos, strict=True))


def write_onnx(program: torch.export.ExportedProgram, path: Path) -> None:
    """Write a program as ONNX.

    Raises:
        ExportError: the packages for it are not installed.
    """
    require("onnx")
    logging.getLogger("onnxscript").setLevel(logging.WARNING)
    written = torch.onnx.export(program, dynamo=True, verbose=False, input_names=["image"], output_names=["pred"])
    if written is None:
        raise ExportError("torch.onnx gave no program")
    written.save(str(path), external_data=False)


def run_onnx(path: Path, image: torch.Tensor) -> list[torch.Tensor]:
    """What onnxruntime makes of an image."""
    session = require("onnx").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [torch.from_numpy(np.asarray(each)) for each in session.run(None, {"image": image.numpy()})]


def write_openvino(onnx: Path, path: Path) -> None:
    """Turn a network in ONNX into OpenVINO's form: an ``.xml`` and the ``.bin`` beside it."""
    openvino = require("openvino")
    openvino.save_model(openvino.convert_model(str(onnx)), str(path), compress_to_fp16=False)


def run_openvino(path: Path, image: torch.Tensor) -> list[torch.Tensor]:
    """What OpenVINO makes of an image on the CPU."""
    compiled = require("openvino").Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [torch.from_numpy(np.asarray(each)) for each in compiled([image.numpy()]).values()]


def write_tensorrt(onnx: Path, path: Path, example: torch.Tensor) -> None:
    """Build an engine of TensorRT for the GPU that is here, for batches of 1 to 16 of the example's size.

    No test runs this: it needs a GPU and TensorRT. It follows the documented calls of TensorRT 10.

    Raises:
        ExportError: the package is not installed, or TensorRT does not take the network.
    """
    tensorrt = require("tensorrt")
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(onnx.read_bytes()):
        raise ExportError(f"TensorRT does not take the network: {parser.get_error(0)}")
    profile = builder.create_optimization_profile()
    size = tuple(example.shape[1:])
    profile.set_shape("image", (1, *size), (4, *size), (16, *size))
    settings = builder.create_builder_config()
    settings.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, settings)
    if engine is None:
        raise ExportError("TensorRT built no engine; its own messages say why")
    path.write_bytes(engine)


def write_torchscript(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Trace a network into TorchScript, which PyTorch has deprecated and which runs code when it is opened."""
    torch.jit.trace(network, example, check_trace=False).save(str(path))


def require(form: str) -> ModuleType:
    """The last package that a form needs.

    Raises:
        ExportError: one is not installed.
    """
    for package in _PACKAGES[form]:
        try:
            found = importlib.import_module(package)
        except ImportError as error:
            raise ExportError(
                f"{form} needs the package {package}, which is not installed\n  mend   pip install monai-seg[{form}]"
            ) from error
    return found


def _forget_sources(program: torch.export.ExportedProgram) -> None:
    """Drop the places of the source that each step comes from: they are folders of this machine."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


def _larger(example: torch.Tensor) -> torch.Tensor:
    sizes = [2 * size for size in example.shape[2:]]
    return torch.nn.functional.interpolate(example[:1], size=sizes).repeat(3, *[1] * (example.ndim - 1))


def _require_alike(program: torch.export.ExportedProgram, network: torch.nn.Module, image: torch.Tensor) -> None:
    with torch.no_grad():
        difference = largest_difference(program.module()(image), network(image))
    if not difference < 1e-3:
        raise ValueError(f"the program differs by {difference} on images of another size")
