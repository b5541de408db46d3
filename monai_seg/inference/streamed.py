"""Sliding windows over a scene that streams by: MONAI's windows and weights, with one row of windows in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.data.utils import compute_importance_map, dense_patch_slices


@dataclass(frozen=True)
class Window:
    """How a scene is cut into tiles, in the terms of MONAI's ``sliding_window_inference``.

    Args:
        roi_size: height and width of a tile, in pixels.
        overlap: shared part of neighbouring tiles along both axes, from 0 to below 1.
        mode: ``"gaussian"`` or ``"constant"`` weights of the pixels of a tile.
        sigma_scale: of the Gaussian, as a share of the tile, along both axes.
        padding_mode: how a scene smaller than a tile is made larger, in PyTorch's terms.
        cval: value of a constant padding.
        batch_size: tiles that the network sees at once.

    Raises:
        ValueError: a size is not positive or an overlap is not below 1.
    """

    roi_size: tuple[int, int]
    overlap: tuple[float, float] = (0.5, 0.5)
    mode: str = "gaussian"
    sigma_scale: tuple[float, float] = (0.125, 0.125)
    padding_mode: str = "constant"
    cval: float = 0.0
    batch_size: int = 4

    def __post_init__(self) -> None:
        if len(self.roi_size) != 2 or min(self.roi_size) < 1:
            raise ValueError(f"roi_size is {self.roi_size}; a scene needs the height and width of a tile, in pixels")
        if len(self.overlap) != 2 or not all(0 <= share < 1 for share in self.overlap):
            raise ValueError(f"overlap is {self.overlap}; give shares from 0 to below 1")
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; give at least 1")

    def starts(self, size: int, axis: int) -> list[int]:
        """First pixel of each tile along an axis of a scene that is at least as large as a tile."""
        tile = self.roi_size[axis]
        step = tile if tile == size else max(1, int(tile * (1 - self.overlap[axis])))
        return [places[0].start for places in dense_patch_slices((size,), (tile,), (step,))]


def stream_prediction(
    read: Callable[[int, int], torch.Tensor],
    size: tuple[int, int],
    window: Window,
    network: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device | str = "cpu",
) -> Iterator[torch.Tensor]:
    """Predict a scene tile by tile and hand out its rows once no further tile reaches them.

    The numbers are those of `monai.inferers.sliding_window_inference` with the same window, to the rounding of
    float32. Memory holds one row of tiles: input, weighted sum and weights.

    Args:
        read: gives the rows from the first up to and without the second as the network wants them; called from top
            to bottom.
        size: height and width of the scene.
        window: the tiles.
        network: maps a batch of tiles to predictions of the same height and width.
        device: where the network computes.

    Shape:
        ``read`` gives ``(C, n, W)``, float32. ``network`` maps ``(B, C, h, w)`` to ``(B, K, h, w)``.

    Yields:
        Predictions of the next rows, ``(K, n, W)``, float32, on the device.

    Raises:
        ValueError: the scene has no pixels, or the network changes height or width.
    """
    if min(size) < 1:
        raise ValueError(f"the scene has {size[0]} x {size[1]} pixels")
    bands = _Bands(read, size, window, device)
    weight = compute_importance_map(
        window.roi_size, mode=window.mode, sigma_scale=window.sigma_scale, device=device, dtype=torch.float32
    )
    columns = window.starts(bands.width, 1)
    weights_of_row = torch.zeros(window.roi_size[0], bands.width, device=device)
    for left in columns:
        weights_of_row[:, left : left + window.roi_size[1]] += weight
    total, weights = None, torch.zeros_like(weights_of_row)
    rows = window.starts(bands.height, 0)
    for top, below in zip(rows, [*rows[1:], bands.height], strict=True):
        band = bands.take(top)
        for first in range(0, len(columns), window.batch_size):
            lefts = columns[first : first + window.batch_size]
            predictions = _predict(network, torch.stack([band[..., x : x + window.roi_size[1]] for x in lefts]))
            if total is None:
                total = torch.zeros(predictions.shape[1], *weights_of_row.shape, device=device)
            for left, prediction in zip(lefts, predictions, strict=True):
                total[..., left : left + window.roi_size[1]].addcmul_(prediction, weight)
        if total is None:
            raise RuntimeError("no tile was predicted")
        weights += weights_of_row
        done = below - top
        yield from bands.crop(total[:, :done] / weights[:done], top)
        _move_up(total, done)
        _move_up(weights, done)


class _Bands:
    """The rows of a scene as tall as a tile, padded to at least one tile; what two bands share is read once."""

    def __init__(
        self,
        read: Callable[[int, int], torch.Tensor],
        size: tuple[int, int],
        window: Window,
        device: torch.device | str,
    ) -> None:
        self._read, self._size, self._window, self._device = read, size, window, device
        self.height, self.width = (max(own, tile) for own, tile in zip(size, window.roi_size, strict=True))
        # As MONAI pads: half on each side, the odd pixel behind.
        self._above, self._left = (self.height - size[0]) // 2, (self.width - size[1]) // 2
        self._band: torch.Tensor | None = None
        self._top = 0

    def take(self, top: int) -> torch.Tensor:
        """The padded band whose first row this is; each call must lie below the one before."""
        if self._band is None:
            self._band = self._padded(0, min(self._window.roi_size[0], self._size[0]))
        elif top > self._top:
            kept = self._band[:, top - self._top :]
            self._band = torch.cat([kept, self._padded(top + kept.shape[1], top + self._window.roi_size[0])], dim=1)
        self._top = top
        return self._band

    def crop(self, rows: torch.Tensor, top: int) -> Iterator[torch.Tensor]:
        """Without the padding; nothing where all of it is padding."""
        low, high = max(top, self._above), min(top + rows.shape[1], self._above + self._size[0])
        if low < high:
            yield rows[:, low - top : high - top, self._left : self._left + self._size[1]]

    def _padded(self, start: int, stop: int) -> torch.Tensor:
        rows = self._read(start, stop).to(self._device, torch.float32)
        margins = (self._left, self.width - self._size[1] - self._left) + (
            (self._above, self.height - self._size[0] - self._above) if self.height > self._size[0] else (0, 0)
        )
        if not any(margins):
            return rows
        constant = {"value": self._window.cval} if self._window.padding_mode == "constant" else {}
        return F.pad(rows[None], margins, mode=self._window.padding_mode, **constant)[0]


def _predict(network: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        predictions = network(tiles)
    if predictions.shape[2:] != tiles.shape[2:] or len(predictions) != len(tiles):
        raise ValueError(
            f"the network turns tiles of shape {tuple(tiles.shape)} into {tuple(predictions.shape)}; "
            "a scene needs predictions of the height and width of the tile"
        )
    return predictions.float()


def _move_up(rows: torch.Tensor, by: int) -> None:
    """Drop the first rows and put zeros behind the last ones, in place."""
    height = rows.shape[-2]
    if by < height:
        rows[..., : height - by, :] = rows[..., by:, :].clone()
    rows[..., height - min(by, height) :, :] = 0
