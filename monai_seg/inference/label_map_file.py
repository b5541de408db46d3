"""Write a predicted label map into the geometry of its input file: same shape, same affine, same header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_seg.data.atomic import atomic_path
from monai_seg.data.layouts.files import extension, stem


class ClassMaskError(ValueError):
    """Masks of classes that may overlap, and names that do not tell which is which."""


def mask_folders(folder: Path, class_names: Sequence[str]) -> list[Path]:
    """Where the masks of classes that may overlap go: a folder for each class, each mask named as a label map is.

    Raises:
        ClassMaskError: a name cannot name a folder, or two name the same one.
    """
    unfit = [name for name in class_names if not name.strip(" .") or set(name) & set("/\\")]
    if unfit:
        raise ClassMaskError(f"class {unfit[0]!r} cannot name the folder of its masks; give it a name without / and \\")
    # Not all file systems tell capitals from small letters.
    if len({name.casefold() for name in class_names}) < len(class_names):
        raise ClassMaskError(f"two of the classes {', '.join(class_names)} have one folder; rename one")
    return [folder / name for name in class_names]


def prediction_name(image_file: str | Path) -> str:
    """File name of the prediction for an image: its stem as NIfTI for volumes, TIFF for TIFF, PNG for the rest."""
    ending = extension(image_file)
    if ending.startswith(".nii"):
        return stem(image_file) + ".nii.gz"
    return stem(image_file) + (ending if ending in (".tif", ".tiff") else ".png")


def write_label_map(labels: np.ndarray, image_file: str | Path, folder: Path) -> Path:
    """Write class indices (0 = background) beside what the image file says of its geometry, atomically.

    Args:
        labels: whole numbers from 0 to 65535.
        image_file: the input; NIfTI gives its affine and header.
        folder: where the prediction goes.

    Shape:
        labels ``(H, W[, D])``, the shape of the image file's array.

    Returns:
        The file that was written.

    Raises:
        ValueError: the label map has not the image file's shape.
    """
    path = folder / prediction_name(image_file)
    folder.mkdir(parents=True, exist_ok=True)
    whole = labels.astype(np.uint8 if labels.max(initial=0) < 256 else np.uint16)
    write = _write_nifti if extension(image_file).startswith(".nii") else _write_image
    write(whole, Path(image_file), path)
    return path


def _write_nifti(labels: np.ndarray, image_file: Path, path: Path) -> None:
    import nibabel as nib

    source = nib.load(image_file)
    if source.shape[:3] != labels.shape:
        raise ValueError(f"the label map of {image_file} has shape {labels.shape}, the file {source.shape[:3]}")
    header = source.header.copy()
    header.set_data_dtype(labels.dtype)
    # Scaling and display range are those of intensities; labels have none.
    header.set_slope_inter(1, 0)
    header["cal_min"], header["cal_max"] = 0, 0
    result = type(source)(labels, source.affine, header)
    # nibabel resets the codes when an affine is given; the input's own say which space it is in.
    for kind in ("sform", "qform"):
        code = int(source.header[f"{kind}_code"])
        affine = getattr(source, f"get_{kind}")() if code else None
        getattr(result, f"set_{kind}")(affine, code)
    with atomic_path(path) as temporary:
        nib.save(result, temporary)


def _write_image(labels: np.ndarray, image_file: Path, path: Path) -> None:
    from PIL import Image

    with Image.open(image_file) as source:
        shape = (source.height, source.width)
    if labels.shape != shape:
        raise ValueError(f"the label map of {image_file} has shape {labels.shape}, the file {shape}")
    with atomic_path(path) as temporary:
        Image.fromarray(labels).save(temporary)
