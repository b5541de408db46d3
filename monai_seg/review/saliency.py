"""Where a classifier looks: by its gradients, by hiding parts of the image, by Shapley values of parts."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import torch

_DETAIL = 6
METHODS = ("gradcam", "gradcam++", "occlusion", "shapley")


class MissingExtraError(ImportError):
    """A method needs a package that is not installed."""


def saliency_map(
    network: torch.nn.Module,
    image: torch.Tensor,
    class_index: int,
    method: str = "gradcam",
    target_layer: str | None = None,
    parts: int = 6,
    samples: int = 20,
) -> torch.Tensor:
    """How much each place of an image speaks for a class.

    Args:
        network: in evaluation mode afterwards as before; it is not changed, and no hook stays on it.
        image: as the network takes it.
        class_index: of the class that is asked about.
        method: ``"gradcam"`` and ``"gradcam++"`` weigh the features of a layer by their gradients (MONAI's);
            ``"occlusion"`` tells how far the probability falls when a square is hidden (MONAI's); ``"shapley"`` shares
            the score out among the squares of a grid, by hiding random sets of them (captum, an extra).
        target_layer: of the first two, by name; by default the last convolution that still gives 6 x 6 features, so
            that small images are not judged by a handful of them.
        parts: squares along each axis, of the last two.
        samples: random orders in which the squares are hidden, of the last one.

    Shape:
        image ``(C, H, W)``. Gives ``(H, W)``, float32 on the CPU; above 0 speaks for the class.

    Raises:
        ValueError: the method, the class or the layer is not known.
        MissingExtraError: captum is not installed.

    Source:
        arXiv:1610.02391 (Grad-CAM), arXiv:1710.11063 (++), arXiv:1311.2901 (occlusion), Castro et al. 2009 (Shapley).
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; give one of {', '.join(METHODS)}")
    # A copy: MONAI's maps leave their hooks on the network that they look at.
    with torch.inference_mode(False), torch.enable_grad():
        own = copy.deepcopy(network).eval().float()
        batch = torch.as_tensor(image).detach().float().clone()[None].to(next(own.parameters()).device)
        with torch.no_grad():
            classes = own(batch).shape[1]
        if not 0 <= class_index < classes:
            raise ValueError(f"class_index is {class_index}; the network knows 0 to {classes - 1}")
        if method == "occlusion":
            found = _occlusion(own, batch, class_index, parts)
        elif method == "shapley":
            found = _shapley(own, batch, class_index, parts, samples)
        else:
            found = _activations(own, batch, class_index, method, target_layer)
    return found.detach().float().cpu()


def _activations(
    network: torch.nn.Module, batch: torch.Tensor, class_index: int, method: str, target_layer: str | None
) -> torch.Tensor:
    from monai.visualize import GradCAM, GradCAMpp

    layer = target_layer or _last_detailed(network, batch)
    if layer is None or layer not in dict(network.named_modules()):
        raise ValueError(f"target_layer is {layer!r}; name a layer of the network, such as its last convolution")
    network.requires_grad_(True)
    kind: Any = GradCAM if method == "gradcam" else GradCAMpp
    maps = kind(nn_module=network, target_layers=layer, postprocessing=_as_it_is)
    return maps(batch, class_idx=class_index)[0, 0]


def _last_detailed(network: torch.nn.Module, batch: torch.Tensor) -> str | None:
    """The last convolution with `_DETAIL` features along each axis; where none has so many, that with most."""
    sizes: dict[str, int] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: sizes.update({name: min(output.shape[2:])})

    modules = [(name, each) for name, each in network.named_modules() if isinstance(each, torch.nn.Conv2d)]
    hooks = [module.register_forward_hook(note(name)) for name, module in modules]
    with torch.no_grad():
        network(batch)
    for hook in hooks:
        hook.remove()
    enough = [name for name in sizes if sizes[name] >= min(_DETAIL, max(sizes.values()))]
    return enough[-1] if enough else None


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values  # MONAI's default turns the map upside down


def _occlusion(network: torch.nn.Module, batch: torch.Tensor, class_index: int, parts: int) -> torch.Tensor:
    from monai.visualize import OcclusionSensitivity

    side = max(2, min(batch.shape[2:]) // parts)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using a non-tuple sequence")  # inside MONAI
        usual = network(batch).softmax(1)[0, class_index]
        # Told how to activate: of a grey image MONAI would take the sigmoid of each score.
        hide = OcclusionSensitivity(
            network, mask_size=side, n_batch=32, overlap=0.5, activate=lambda scores: scores.softmax(1), verbose=False
        )
        hidden, _ = hide(batch)
    return usual - hidden[0, class_index]


def _shapley(network: torch.nn.Module, batch: torch.Tensor, class_index: int, parts: int, samples: int) -> torch.Tensor:
    sampling: Callable[..., Any] = _captum()
    rows, columns = (torch.arange(size) * parts // size for size in batch.shape[2:])
    grid = (rows[:, None] * parts + columns[None]).expand(1, batch.shape[1], -1, -1).to(batch.device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shares = sampling(lambda images: network(images).log_softmax(1)).attribute(
            batch,
            target=class_index,
            baselines=float(batch.mean()),
            feature_mask=grid,
            n_samples=samples,
            perturbations_per_eval=32,
        )
    return shares[0].mean(0)


def _captum() -> Any:
    try:
        return importlib.import_module("captum.attr").ShapleyValueSampling
    except ImportError as error:
        raise MissingExtraError(
            f"the method shapley needs captum, which is not installed\n  found  {error}\n"
            "  mend   pip install captum; or take one of gradcam, gradcam++, occlusion"
        ) from error
