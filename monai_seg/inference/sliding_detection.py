"""Objects in images and volumes of any size, tile by tile: `SlidingWindowDetectionInferer`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.data.utils import dense_patch_slices
from monai.inferers import Inferer

from monai_seg.inference.placed_masks import Box, PlacedMask
from monai_seg.inference.tile_objects import CutObjects, TileObject, merge_objects

Found = dict[str, Any]
MaskForm = Literal["full", "placed"]
PLACED = "placed_mask"


class SlidingWindowDetectionInferer(Inferer):
    """Run a detector over overlapping tiles of images that are larger than what it was trained on.

    An image that is no larger than a tile goes through the network as it is. Memory holds the network's output for one
    batch of tiles, and of every object its own box of pixels: masks of the size of the image are made at the end, or
    not at all.

    Choose the overlap larger than the objects: each is then seen whole by one tile. Larger ones are joined from parts,
    see `merge_objects`.

    Args:
        roi_size: of a tile; -1, or an axis that is shorter, takes the image as it is.
        overlap: shared part of neighbouring tiles, above 0 and below 1, of all axes or each.
        sw_batch_size: tiles that the network sees at once.
        merge_iou, cut_objects: see `merge_objects`.
        masks: ``"full"`` gives ``mask`` ``(N, H, W[, D])`` as the network does; 300 objects in 4096 x 4096 pixels take
            5 GiB. ``"placed"`` gives ``placed_mask`` instead, a list of `PlacedMask`.
        sw_device: where the network computes; None: where the image is.

    Shape:
        as of `MaskRCNN` in evaluation mode, for volumes too.

    Raises:
        ValueError: an option is impossible.
    """

    def __init__(
        self,
        roi_size: Sequence[int] | int,
        overlap: Sequence[float] | float = 0.25,
        sw_batch_size: int = 4,
        merge_iou: float = 0.5,
        cut_objects: CutObjects = "join",
        masks: MaskForm = "full",
        sw_device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        shares = [overlap] if isinstance(overlap, (int, float)) else list(overlap)
        if not all(0 < share < 1 for share in shares):
            raise ValueError(f"overlap is {overlap}; give shares above 0, else objects stay cut in two, and below 1")
        if sw_batch_size < 1 or not 0 < merge_iou <= 1:
            raise ValueError(f"sw_batch_size is {sw_batch_size}, merge_iou {merge_iou}; give 1 or more, and a share")
        if cut_objects not in ("join", "largest") or masks not in ("full", "placed"):
            raise ValueError(f"cut_objects is {cut_objects!r}, masks {masks!r}; give join or largest, full or placed")
        self.roi_size, self.overlap, self.sw_batch_size = roi_size, overlap, sw_batch_size
        self.merge_iou, self.cut_objects, self.masks, self.sw_device = merge_iou, cut_objects, masks, sw_device

    def __call__(
        self,
        inputs: torch.Tensor | Sequence[torch.Tensor],
        network: Callable[..., list[Found]],
        *args: Any,
        **kwargs: Any,
    ) -> list[Found]:
        """Find the objects of each image of a batch.

        Args:
            inputs: a batch or a list of images.
            network: in evaluation mode.
            args, kwargs: handed on to the network.
        """
        if self.masks == "full" and all(_is_small(image, self.roi_size) for image in inputs):
            return network(inputs, *args, **kwargs)
        return [self._found(image, lambda tiles: network(tiles, *args, **kwargs)) for image in inputs]

    def _found(self, image: torch.Tensor, network: Callable[[list[torch.Tensor]], list[Found]]) -> Found:
        if self.masks == "full" and _is_small(image, self.roi_size):
            return network([image])[0]
        found = sliding_window_detection(
            image,
            network,
            self.roi_size,
            self.overlap,
            self.sw_batch_size,
            self.merge_iou,
            self.cut_objects,
            self.sw_device,
        )
        if self.masks == "full" and PLACED in found:
            found["mask"] = full_masks(found.pop(PLACED), tuple(image.shape[1:])).to(image.device)
        return found


def sliding_window_detection(
    image: torch.Tensor,
    network: Callable[[list[torch.Tensor]], list[Found]],
    roi_size: Sequence[int] | int,
    overlap: Sequence[float] | float = 0.25,
    sw_batch_size: int = 4,
    merge_iou: float = 0.5,
    cut_objects: CutObjects = "join",
    sw_device: torch.device | str | None = None,
) -> Found:
    """Find the objects of one image tile by tile, see `SlidingWindowDetectionInferer`.

    Returns:
        ``box``, ``label`` and ``label_scores``, the best first, on the device of the image; and, if the network gives
        masks, ``placed_mask``, a list of `PlacedMask`.
    """
    plain = image.as_tensor() if hasattr(image, "as_tensor") else image
    size = tuple(int(length) for length in plain.shape[1:])
    objects: list[TileObject] = []
    has_masks = True
    all_tiles = tile_boxes(size, roi_size, overlap)
    for tiles in _batches(all_tiles, sw_batch_size):
        places = [(slice(None), *itertools.starmap(slice, zip(*tile, strict=True))) for tile in tiles]
        pieces = [plain[place] for place in places]
        with torch.no_grad():
            outputs = network([piece.to(sw_device or piece.device) for piece in pieces])
        for tile, output in zip(tiles, outputs, strict=True):
            has_masks = "mask" in output
            objects += _objects_of_tile(output, tile)
    merged = merge_objects(objects, all_tiles, size, merge_iou, cut_objects)
    found: Found = {
        "box": torch.tensor(np.array([each.box for each in merged]).reshape(-1, 2 * len(size)), dtype=torch.float32),
        "label": torch.tensor([each.label for each in merged], dtype=torch.int64),
        "label_scores": torch.tensor([each.score for each in merged], dtype=torch.float32),
    }
    found = {name: value.to(plain.device) for name, value in found.items()}
    return found | ({PLACED: [each.mask for each in merged]} if has_masks else {})


def full_masks(masks: Sequence[PlacedMask], size: tuple[int, ...]) -> torch.Tensor:
    """Masks of the size of the image, ``(N, *size)`` uint8."""
    full = np.zeros((len(masks), *size), np.uint8)
    for place, mask in zip(full, masks, strict=True):
        mask.paste(place)
    return torch.from_numpy(full)


def tile_boxes(size: tuple[int, ...], roi_size: Sequence[int] | int, overlap: Sequence[float] | float) -> list[Box]:
    """The tiles of an image as MONAI places them; neighbours share at least one pixel, none leaves the image.

    Raises:
        ValueError: there is not one length or share for each axis.
    """
    tile = _tile_size(size, roi_size)
    shares = [overlap] * len(size) if isinstance(overlap, (int, float)) else list(overlap)
    if len(shares) != len(size):
        raise ValueError(f"overlap is {overlap}; the image has {len(size)} axes")
    steps = [
        own if own == length else min(max(1, int(own * (1 - share))), max(1, own - 1))
        for own, length, share in zip(tile, size, shares, strict=True)
    ]
    slices = dense_patch_slices(size, tile, steps)
    return [(tuple(int(each.start) for each in place), tuple(int(each.stop) for each in place)) for place in slices]


def _tile_size(size: tuple[int, ...], roi_size: Sequence[int] | int) -> tuple[int, ...]:
    wanted = [roi_size] * len(size) if isinstance(roi_size, int) else list(roi_size)
    if len(wanted) != len(size):
        raise ValueError(f"roi_size is {roi_size}; the image has {len(size)} axes")
    return tuple(length if own < 1 else min(int(own), length) for own, length in zip(wanted, size, strict=True))


def _is_small(image: torch.Tensor, roi_size: Sequence[int] | int) -> bool:
    size = tuple(image.shape[1:])
    return _tile_size(size, roi_size) == size


def _batches(tiles: Sequence[Box], count: int) -> Iterator[list[Box]]:
    places = iter(tiles)
    while batch := list(itertools.islice(places, count)):
        yield batch


def _objects_of_tile(output: Found, tile: Box) -> list[TileObject]:
    """The objects that the network found in a tile, moved to where the tile lies."""
    boxes = output["box"].detach().float().cpu().numpy().astype(np.float64) + np.tile(tile[0], 2)
    labels, scores = output["label"].tolist(), output["label_scores"].tolist()
    masks: list[PlacedMask | None] = [None] * len(labels)
    if "mask" in output:
        # One by one: a device may hold masks of a tile for which there is no room twice.
        masks = [PlacedMask.cut_out(mask.detach().cpu().numpy(), tile[0]) for mask in output["mask"]]
    return [TileObject(*each, tile) for each in zip(boxes, labels, scores, masks, strict=True)]
