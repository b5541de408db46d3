"""Several networks, or several views of one image, as one network: the logits of their mean probability."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F

Turn = Callable[[torch.Tensor], torch.Tensor]


class Consensus(torch.nn.Module):
    """Average probabilities over networks and over the symmetries of the image grid.

    It stands where a network stands, so that windows, activation and threshold after it stay as they are: the sigmoid
    or softmax of what it gives is the mean of the single probabilities, also where these are next to 0 or 1.

    Args:
        networks: of equal input and output.
        activation: ``"sigmoid"`` or ``"softmax"``, which makes probabilities of the networks' logits.
        test_time_augmentation: see the image in all its views: the 8 rotations and reflections of a picture, the 8
            reflections of a volume. The result then turns with the image, exactly.

    Shape:
        ``(B, C, H, W[, D])`` to logits ``(B, K, H, W[, D])``.

    Raises:
        ValueError: there is no network, or the activation is unknown.

    Example:
        >>> one, two = (lambda x: torch.zeros_like(x)), (lambda x: torch.full_like(x, torch.inf))
        >>> Consensus([one, two], "sigmoid")(torch.zeros(1, 1, 2, 2)).sigmoid()[0, 0, 0]
        tensor([0.7500, 0.7500])
    """

    def __init__(
        self,
        networks: Sequence[Callable[[torch.Tensor], torch.Tensor]],
        activation: str,
        test_time_augmentation: bool = False,
    ) -> None:
        super().__init__()
        if not networks:
            raise ValueError("a consensus needs at least one network")
        if activation not in ("sigmoid", "softmax"):
            raise ValueError(f"activation is {activation!r}; give sigmoid or softmax")
        self.networks, self.activation = list(networks), activation
        # Modules among them are registered, so that to(), train() and eval() reach them.
        self.modules_among = torch.nn.ModuleList(item for item in networks if isinstance(item, torch.nn.Module))
        self.test_time_augmentation = test_time_augmentation

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the mean probability."""
        yes: torch.Tensor | None = None
        no: torch.Tensor | None = None
        count = 0
        for network, (turn, back) in itertools.product(self.networks, self._views(image.ndim - 2)):
            logits = back(network(turn(image))).float()
            count += 1
            if self.activation == "softmax":
                yes = _add(yes, F.log_softmax(logits, dim=1))
            else:
                yes, no = _add(yes, F.logsigmoid(logits)), _add(no, F.logsigmoid(-logits))
        if yes is None:
            raise RuntimeError("nothing was predicted")
        return yes - math.log(count) if no is None else yes - no

    def _views(self, axes: int) -> list[tuple[Turn, Turn]]:
        return list(symmetries(axes)) if self.test_time_augmentation else [(_same, _same)]


def symmetries(axes: int) -> Iterator[tuple[Turn, Turn]]:
    """Rotations and reflections of pictures (8), reflections of volumes (8), each with its inverse."""
    if axes == 2:
        for quarters, is_mirrored in itertools.product(range(4), (False, True)):
            yield _turn(quarters, is_mirrored), _turn_back(quarters, is_mirrored)
    else:
        for chosen in itertools.product((False, True), repeat=axes):
            flipped = [axis + 2 for axis in range(axes) if chosen[axis]]
            yield _flip(flipped), _flip(flipped)


def _add(total: torch.Tensor | None, logarithm: torch.Tensor) -> torch.Tensor:
    return logarithm if total is None else torch.logaddexp(total, logarithm)


def _same(image: torch.Tensor) -> torch.Tensor:
    return image


def _flip(axes: list[int]) -> Turn:
    return lambda image: image.flip(axes)


def _turn(quarters: int, is_mirrored: bool) -> Turn:
    return lambda image: torch.rot90(image.flip(-1) if is_mirrored else image, quarters, (-2, -1))


def _turn_back(quarters: int, is_mirrored: bool) -> Turn:
    def back(image: torch.Tensor) -> torch.Tensor:
        turned = torch.rot90(image, -quarters, (-2, -1))
        return turned.flip(-1) if is_mirrored else turned

    return back
