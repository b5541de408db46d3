"""Embedded sample data: the same bytes for the same seed, hard for a threshold, sound geometry, a safe cache."""

import json
import logging
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from monai_seg.data import samples
from monai_seg.data.samples import SAMPLE_KINDS, aerial, cells, fields, is_sample_data, nodules, sample_data, volumes

TRAINING = [f"volume_{index:03d}.nii.gz" for index in range(volumes.N_TRAINING)]
TILES = [f"tile_{index:02d}.png" for index in range(aerial.N_IMAGES)]
SECTIONS = [f"section_{index:02d}.png" for index in range(cells.N_IMAGES)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def volumes_dir(cache):
    return Path(sample_data("volumes", cache))


@pytest.fixture(scope="module")
def cells_dir(cache):
    return Path(sample_data("cells", cache))


@pytest.fixture(scope="module")
def expressions_dir(cache):
    return Path(sample_data("expressions", cache))


@pytest.fixture(scope="module")
def aerial_dir(cache):
    return Path(sample_data("aerial", cache))


@pytest.fixture(scope="module")
def faces_dir(cache):
    return Path(sample_data("faces", cache))


@pytest.fixture(scope="module")
def slices_dir(cache):
    return Path(sample_data("slices", cache))


@pytest.fixture(scope="module")
def nodules_dir(cache):
    return Path(sample_data("nodules", cache))


def make_case(kind, seed, index):
    """Slices are of a patient: the second one of each, for an odd index."""
    where = divmod(index, 2) if kind == "slices" else (index,)
    return getattr(samples, kind).make_case(seed, *where)


@pytest.fixture
def two_files(monkeypatch):
    """A generator of two files instead of the real one, for what concerns the cache alone."""
    monkeypatch.setattr(cells, "generate", lambda seed: iter([("images/a.png", b"%d" % seed), ("README.md", b"b")]))


def otsu_dice(image, foreground):
    bright = image > threshold_otsu(image)
    return max(2 * (mask & foreground).sum() / (mask.sum() + foreground.sum()) for mask in (bright, ~bright))


def load(folder, section, name):
    return nibabel.load(folder / section / name)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# What is in the files


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
def test_folder_is_what_the_generator_gives_in_any_order_of_cases(kind, request):
    folder = request.getfixturevalue(f"{kind}_dir")
    generator = getattr(samples, kind)
    written = content(folder)
    assert len(written) == generator.N_FILES
    again = make_case(kind, 0, 3)
    if kind == "volumes":
        expected = {
            "imagesTr/volume_003.nii.gz": fields.nifti(again[0], again[2]),
            "labelsTr/volume_003.nii.gz": fields.nifti(again[1], again[2]),
        }
    elif kind == "nodules":
        pair = {"images": again[0], "labels": again[1]}
        expected = {f"{part}/nodules_003.nii.gz": fields.nifti(each, nodules.AFFINE) for part, each in pair.items()}
    elif kind == "slices":
        expected = {"images/001_11.png": fields.png(again[0])}
    elif kind == "faces":
        expected = {"images/person_02_2.png": fields.png(again)}
    elif kind == "expressions":
        expected = {f"{generator.mood_of(0, 3)}/00_3.png": fields.png(again)}
    else:
        name = {"cells": "section_03.png", "aerial": "tile_03.png"}[kind]
        expected = {f"images/{name}": fields.png(again[0]), f"masks/{name}": fields.png(again[1])}
    assert written.items() >= expected.items()


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(kind, request):
    written = content(request.getfixturevalue(f"{kind}_dir"))
    again = dict(getattr(samples, kind).generate(0))
    assert again == written
    for index in (0, 1):
        images = [make_case(kind, seed, index)[0] for seed in (0, 1)]
        assert not np.array_equal(*images)


@pytest.mark.parametrize("name", TRAINING)
def test_no_threshold_finds_the_structure(volumes_dir, name):
    image = load(volumes_dir, "imagesTr", name).get_fdata()
    label = np.asarray(load(volumes_dir, "labelsTr", name).dataobj)
    assert otsu_dice(image, label > 0) < 0.5


@pytest.mark.parametrize("name", SECTIONS)
def test_no_threshold_finds_the_membranes(cells_dir, name):
    image, mask = (np.array(Image.open(cells_dir / folder / name)) for folder in ("images", "masks"))
    assert otsu_dice(image, mask == cells.MEMBRANE) < 0.5


@pytest.mark.parametrize("name", TRAINING)
def test_geometry_of_a_volume(volumes_dir, name):
    image, label = load(volumes_dir, "imagesTr", name), load(volumes_dir, "labelsTr", name)
    assert image.shape == label.shape
    assert np.array_equal(image.affine, label.affine)
    for loaded in (image, label):
        (sform, s_code), (qform, q_code) = loaded.get_sform(coded=True), loaded.get_qform(coded=True)
        assert (s_code, q_code) == (1, 1)
        np.testing.assert_allclose(sform, qform, atol=1e-5)
        assert loaded.header.get_xyzt_units()[0] == "mm"
    spacing = np.array(image.header.get_zooms())
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, :3], axis=0), spacing, rtol=1e-5)
    assert spacing[2] > spacing[:2].max()
    turned = np.abs(image.affine[:3, :3] / spacing)
    assert (turned[~np.eye(3, dtype=bool)] > 1e-3).sum() >= 4
    assert np.rad2deg(np.arccos(turned.diagonal())).max() < 12.5


def test_cases_differ_in_axes_spacing_scale_and_type(volumes_dir):
    images = [load(volumes_dir, "imagesTr", name) for name in TRAINING]
    assert {"".join(aff2axcodes(image.affine)) for image in images} == {"RAS", "LPS", "LAS"}
    assert len({image.header.get_zooms() for image in images}) == len(images)
    assert {str(image.get_data_dtype()) for image in images} == {"int16", "float32"}
    maxima = [image.get_fdata().max() for image in images]
    assert max(maxima) / min(maxima) > 100


@pytest.mark.parametrize("name", TRAINING)
def test_two_parts_adjoin_and_the_first_is_anterior(volumes_dir, name):
    loaded = load(volumes_dir, "labelsTr", name)
    label = np.asarray(loaded.dataobj)
    assert label.dtype == np.uint8
    assert np.unique(label).tolist() == [0, 1, 2]
    assert [ndimage.label(label == part)[1] for part in (1, 2)] == [1, 1]
    assert (ndimage.binary_dilation(label == 1) & (label == 2)).any()
    middle = [nibabel.affines.apply_affine(loaded.affine, np.argwhere(label == part)).mean(axis=0) for part in (1, 2)]
    assert middle[0][1] > middle[1][1] + 5


def test_dataset_json_lists_the_files_that_exist(volumes_dir):
    about = json.loads((volumes_dir / "dataset.json").read_text())
    assert about["labels"] == {"0": "background", "1": "anterior", "2": "posterior"}
    assert about["modality"] == {"0": "MRI"}
    assert about["numTraining"] == len(about["training"]) == 24
    assert about["numTest"] == len(about["test"]) == 4
    listed = {path for case in about["training"] for path in case.values()} | set(about["test"])
    found = {f"./{path.relative_to(volumes_dir).as_posix()}" for path in volumes_dir.rglob("*.nii.gz")}
    assert listed == found
    assert all(Path(case["image"]).name == Path(case["label"]).name for case in about["training"])


@pytest.mark.parametrize("name", SECTIONS)
def test_cells_touch_along_thin_membranes(cells_dir, name):
    image, mask = (Image.open(cells_dir / folder / name) for folder in ("images", "masks"))
    assert image.mode == mask.mode == "L"
    assert image.size == mask.size == (256, 256)
    inside = np.array(mask) == cells.INTERIOR
    assert set(np.unique(mask).tolist()) == {0, 255}
    number, n_cells = ndimage.label(inside)
    assert n_cells >= 15
    assert np.bincount(number.ravel())[1:].max() < 0.4 * inside.size
    # Nowhere thicker than a few pixels: what is left of the membranes after three erosions is a few junctions.
    assert ndimage.binary_erosion(~inside, iterations=3).mean() < 0.005


@pytest.mark.parametrize("name", TILES)
def test_roofs_stand_out_by_their_edges_and_not_by_their_colour(aerial_dir, name):
    image, mask = (Image.open(aerial_dir / folder / name) for folder in ("images", "masks"))
    assert (image.mode, mask.mode) == ("RGBA", "L")
    assert image.size == mask.size == (256, 256)
    colour, roofs = np.array(image), np.array(mask)
    assert np.unique(colour[..., 3]).tolist() == [255]
    assert np.unique(roofs).tolist() == [0, 1]
    assert 0.15 < roofs.mean() < 0.6
    assert ndimage.label(roofs)[1] >= 3
    grey = colour[..., :3].mean(axis=2)
    assert otsu_dice(grey, roofs == 1) < 0.7
    channels = colour[..., :3].transpose(2, 0, 1).astype(float)
    slope = sum(ndimage.gaussian_gradient_magnitude(channel, 1.0) for channel in channels)
    outline = ndimage.binary_dilation(roofs) & ~ndimage.binary_erosion(roofs, border_value=1)
    beside = [np.roll(outline, step, axis)[6:-6, 6:-6] for step in (-5, 5) for axis in (0, 1)]
    assert slope[outline].mean() > 1.05 * max(slope[6:-6, 6:-6][other].mean() for other in beside)


def test_faces_are_two_pictures_of_each_of_twenty_persons(faces_dir):
    names = [f"person_{person:02d}_{picture}.png" for person in range(1, 21) for picture in (1, 2)]
    assert sorted(path.name for path in (faces_dir / "images").iterdir()) == names
    assert sorted(path.name for path in faces_dir.iterdir()) == ["README.md", "images"]
    images = [Image.open(faces_dir / "images" / name) for name in names]
    assert {(image.mode, image.size) for image in images} == {("RGB", (256, 256))}
    brightness = np.array([np.mean(cheeks(image)) for image in images])
    assert brightness.max() > 2.5 * brightness.min()
    # The light differs between two pictures of a person, the skin does not.
    logs = np.log(brightness).reshape(20, 2)
    assert np.abs(np.diff(logs)).mean() < 0.25 * np.abs(logs - logs.mean()).mean()


def test_no_shadow_lies_on_the_faces(faces_dir):
    for path in sorted((faces_dir / "images").iterdir()):
        left, right = cheeks(Image.open(path))
        assert 0.8 < left / right < 1.25, path.name


def cheeks(image):
    """Brightness left and right of the nose, by the middle of a centred crop."""
    grey = np.array(image).mean(axis=2)
    return [np.median(grey[140:158, 128 + side * 44 - 9 : 128 + side * 44 + 9]) for side in (-1, 1)]


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
def test_readme_says_how_it_was_made(kind, request):
    text = (request.getfixturevalue(f"{kind}_dir") / "README.md").read_text()
    for fact in ("synthetic", "seed 0", f"version {getattr(samples, kind).VERSION}", "0 "):
        assert fact in text


def test_smooth_noise_is_standardised_and_smooth():
    field = fields.smooth_noise(np.random.default_rng(0), (40, 50, 20), (4.0, 4.0, 1.0))
    assert abs(field.mean()) < 1e-9
    assert field.std() == pytest.approx(1.0)
    steps = [np.diff(field, axis=axis).std() for axis in range(3)]
    assert steps[2] > 2 * steps[0]


# Where the files go


def test_second_call_leaves_the_files_alone(cells_dir, cache):
    before = {path: path.stat().st_mtime_ns for path in cells_dir.rglob("*")}
    assert sample_data("cells", str(cache)) == str(cells_dir)
    assert {path: path.stat().st_mtime_ns for path in cells_dir.rglob("*")} == before


def test_one_info_line_when_generating_and_none_when_cached(tmp_path, two_files, caplog):
    with caplog.at_level(logging.INFO, logger="monai_seg"):
        sample_data("cells", tmp_path)
        assert len(caplog.records) == 1
        sample_data("cells", tmp_path)
        assert len(caplog.records) == 1


def test_name_holds_kind_version_and_seed(tmp_path, two_files, monkeypatch):
    folders = [sample_data("cells", tmp_path, seed=seed) for seed in (0, 5)]
    monkeypatch.setattr(cells, "VERSION", 99)
    folders.append(sample_data("cells", tmp_path))
    assert [os.path.basename(folder) for folder in folders] == ["cells-v1-seed0", "cells-v1-seed5", "cells-v99-seed0"]
    assert all(os.path.isabs(folder) for folder in folders)
    assert Path(folders[1], "images", "a.png").read_bytes() == b"5"


def test_environment_variable_and_home_name_the_cache(tmp_path, two_files, monkeypatch):
    monkeypatch.setenv("MONAI_SEG_CACHE", str(tmp_path / "from variable"))
    assert sample_data("cells") == str(tmp_path / "from variable" / "cells-v1-seed0")
    assert sample_data("cells", tmp_path / "given").startswith(str(tmp_path / "given"))
    monkeypatch.delenv("MONAI_SEG_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert sample_data("cells") == str(tmp_path / "home" / ".cache" / "monai-seg" / "cells-v1-seed0")


def test_folder_that_another_process_made_meanwhile_is_used(tmp_path, monkeypatch):
    theirs = tmp_path / "cells-v1-seed0"

    def slow(seed):
        yield "README.md", b"ours"
        theirs.mkdir()
        (theirs / "README.md").write_text("theirs")

    monkeypatch.setattr(cells, "generate", slow)
    assert sample_data("cells", tmp_path) == str(theirs)
    assert (theirs / "README.md").read_text() == "theirs"
    assert os.listdir(tmp_path) == [theirs.name]


def test_failure_leaves_nothing_and_the_next_call_starts_afresh(tmp_path, two_files, monkeypatch):
    def broken(seed):
        yield "README.md", b"half"
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(cells, "generate", broken)
        with pytest.raises(OSError, match="disk full"):
            sample_data("cells", tmp_path)
    assert os.listdir(tmp_path) == []
    assert content(Path(sample_data("cells", tmp_path))) == {"images/a.png": b"0", "README.md": b"b"}


def test_leftover_of_a_dead_process_is_not_data(tmp_path, two_files):
    leftover = tmp_path / ".cells-v1-seed0-dead.partial" / "cells-v1-seed0"
    leftover.mkdir(parents=True)
    (leftover / "README.md").write_text("half")
    folder = Path(sample_data("cells", tmp_path))
    assert content(folder) == {"images/a.png": b"0", "README.md": b"b"}


def test_unknown_kind_names_the_known_ones(tmp_path):
    with pytest.raises(
        ValueError, match=r"unknown kind of sample data 'cats'; known are 'volumes', 'cells', 'aerial', 'faces'"
    ):
        sample_data("cats", tmp_path)
    with pytest.raises(ValueError, match=r"seed is -1; give a whole number"):
        sample_data("cells", tmp_path, seed=-1)
    assert os.listdir(tmp_path) == []


def test_sample_data_are_told_from_a_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MONAI_SEG_CACHE", str(tmp_path / "cache"))
    assert is_sample_data(tmp_path / "cache" / "cells-v1-seed0")
    assert not is_sample_data(tmp_path / "cells-v1-seed0")
    assert not is_sample_data(tmp_path / "cache" / "mine")
