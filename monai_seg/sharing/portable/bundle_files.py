"""Where a bundle lies, and which images a file or folder holds; for its configuration."""

from __future__ import annotations

from pathlib import Path

ENDINGS = (".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def bundle_root() -> str:
    """Folder of the bundle that this file lies in, whatever the working directory."""
    return str(Path(__file__).resolve().parents[1])


def images(place: str) -> list[dict[str, str]]:
    """Records ``{"image": file}`` of a file, or of all images directly in a folder, sorted by name.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds no image.
    """
    path = Path(place)
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [file for file in found if file.is_file() and file.name.lower().endswith(ENDINGS)]
    if not found:
        raise FileNotFoundError(f"{place} is no image and holds none; known are {', '.join(ENDINGS)}")
    return [{"image": str(file.resolve())} for file in found]
