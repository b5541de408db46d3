"""What the Model Zoo's checks demand of a bundle's files and versions, written anew from what they do.

Their order: files, version and changelog, metadata against a schema, then what MONAI's own functions verify.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from monai.bundle import verify_metadata

SCHEMA = Path(__file__).with_name("meta_schema.json")
REQUIRED = ("LICENSE", "configs/metadata.json")
WEIGHTS = "models/model.pt"
CONFIGURATIONS = tuple(f"configs/inference.{ending}" for ending in ("json", "yaml", "yml"))


def metadata_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))


def configuration_of(bundle: Path) -> Path:
    return next(bundle / name for name in CONFIGURATIONS if (bundle / name).is_file())


def faults_of_files(bundle: Path, has_weights: bool) -> Iterator[str]:
    """What is missing of the layout.

    Args:
        bundle: its folder.
        has_weights: it was exported; weights of the repository's own bundles are no part of git.
    """
    yield from (f"{name} is missing" for name in REQUIRED if not (bundle / name).is_file())
    if has_weights and not (bundle / WEIGHTS).is_file():
        yield f"{WEIGHTS} is missing"
    if not any((bundle / name).is_file() for name in CONFIGURATIONS):
        yield f"none of {', '.join(CONFIGURATIONS)} is there"


def faults_of_version(bundle: Path, released: Collection[str]) -> Iterator[str]:
    """What is wrong with version and changelog.

    Args:
        bundle: its folder.
        released: ``NAME_vVERSION`` of each bundle that the zoo has already (the keys of its ``model_info.json``).
    """
    metadata = metadata_of(bundle)
    yield from (f"{key!r} is missing" for key in ("version", "changelog") if key not in metadata)
    version = metadata.get("version")
    if version not in metadata.get("changelog", {}):
        yield f"version {version} is not in the changelog"
    if f"{bundle.name}_v{version}" in released:
        yield f"version {version} is released already"


def verify_metadata_offline(bundle: Path, workshop: Path) -> None:
    """MONAI's `verify_metadata` with our schema where it would have put the one that it fetches.

    Raises:
        ValueError: the metadata do not fit.
    """
    place = Path(shutil.copyfile(SCHEMA, workshop / "schema.json"))
    verify_metadata(
        meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(place), hash_type="sha256",
        hash_val=hashlib.sha256(place.read_bytes()).hexdigest(),
    )  # fmt: skip
