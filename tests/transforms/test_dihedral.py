"""The eight symmetries: that they are eight and a group, exact, invertible, uniform, and known to MONAI."""

import itertools
from collections import Counter

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Flip, Invertd, Rotate90

from monai_seg.transforms import Dihedral, RandDihedrald
from monai_seg.transforms.dihedral import inverse_symmetry

AFFINE = torch.tensor([[2.0, 0, 0, 5], [0, 3, 0, 7], [0, 0, 4, 9], [0, 0, 0, 1]], dtype=torch.float64)


def image(*shape):
    return MetaTensor(torch.arange(float(torch.tensor(shape).prod())).view(shape), affine=AFFINE.clone())


def test_eight_different_symmetries_form_a_group():
    square = torch.arange(9).view(1, 3, 3)
    results = {tuple(Dihedral(symmetry)(square).flatten().tolist()): symmetry for symmetry in range(8)}
    assert len(results) == 8
    for first, second in itertools.product(range(8), repeat=2):
        composed = results[tuple(Dihedral(second)(Dihedral(first)(square)).flatten().tolist())]  # else a KeyError
        assert (composed == 0) == (second == inverse_symmetry(first))


@pytest.mark.parametrize(
    ("symmetry", "peer"),
    [
        (1, Flip(0)),
        (2, Flip(1)),
        (3, Rotate90(2)),
        (6, Rotate90(1)),
        (5, Rotate90(3)),
        (4, Compose([Rotate90(1), Flip(0)])),
        (7, Compose([Rotate90(1), Flip(1)])),
    ],
)
@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 3, 5), (1, 1, 1)])
def test_same_values_and_affine_as_monai(symmetry, peer, shape):
    ours, theirs = Dihedral(symmetry)(image(*shape)), peer(image(*shape))
    assert torch.equal(ours.as_tensor(), theirs.as_tensor())
    torch.testing.assert_close(ours.affine, theirs.affine)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (-1, 1)])
@pytest.mark.parametrize("symmetry", range(8))
def test_inverse_is_the_identity_bit_for_bit(symmetry, axes):
    volume, step = image(2, 3, 4, 5), Dihedral(symmetry, axes)
    moved = step(volume)
    back = step.inverse(moved)
    assert torch.equal(back.as_tensor(), volume.as_tensor())
    assert torch.equal(back.affine, volume.affine)
    assert back.applied_operations == []
    assert back.is_contiguous()


@pytest.mark.parametrize("symmetry", range(8))
def test_affine_says_where_each_voxel_went(symmetry):
    """An image of its own world coordinates must still hold them."""
    rows, cols, depths = torch.meshgrid(*(torch.arange(float(n)) for n in (3, 4, 2)), indexing="ij")
    index = torch.stack([rows, cols, depths, torch.ones_like(rows)]).double()
    world = MetaTensor(torch.einsum("ij,jxyz->ixyz", AFFINE, index)[:3], affine=AFFINE)
    moved = Dihedral(symmetry, (1, 0))(world)
    index = torch.stack([*torch.meshgrid(*(torch.arange(n) for n in moved.shape[1:]), indexing="ij")]).double()
    index = torch.cat([index, torch.ones_like(index[:1])])
    assert torch.equal(moved.as_tensor(), torch.einsum("ij,jxyz->ixyz", moved.affine, index)[:3])


@pytest.mark.filterwarnings("ignore:'lazy' is set to True:UserWarning")  # MONAI's inverse is never lazy
@pytest.mark.parametrize("lazy", [False, True])
def test_image_and_mask_agree_and_invertd_undoes_both(lazy):
    steps = Compose([RandDihedrald(["image", "label"], lazy=lazy)], lazy=lazy)
    back = Invertd("pred", steps, orig_keys="image", nearest_interp=False)
    shapes = set()
    for draw in range(12):
        # Each time, since to invert a Compose seeds its transforms anew where MONAI's set_determinism was called.
        steps.set_random_state(seed=draw)
        sample = steps({"image": image(3, 4, 6), "label": image(1, 4, 6) * 1})
        assert torch.equal(sample["image"][:1], sample["label"])
        assert torch.equal(Dihedral(**sample["dihedral"])(image(3, 4, 6)), sample["image"])
        shapes.add(tuple(sample["image"].shape))
        undone = back(sample | {"pred": sample["image"].clone()})
        assert torch.equal(undone["pred"], image(3, 4, 6))
        assert torch.equal(steps.inverse(sample)["label"], image(1, 4, 6))
    assert shapes == {(3, 4, 6), (3, 6, 4)}


@pytest.mark.parametrize(
    ("keep_shape", "shape", "expected"),
    [(False, (1, 2, 2), 8), (False, (1, 2, 3), 8), (True, (1, 2, 2), 8), (True, (1, 2, 3), 4)],
)
def test_all_are_drawn_equally_often(keep_shape, shape, expected):
    step = RandDihedrald("image", keep_shape=keep_shape).set_random_state(seed=3)
    count = Counter()
    for _ in range(400):
        step.randomize(torch.zeros(shape))
        count[step.symmetry] += 1
    assert len(count) == expected
    # Chi-squared with 7 (3) degrees of freedom is above 24.3 (16.3) once in a thousand times.
    assert sum((n - 400 / expected) ** 2 / (400 / expected) for n in count.values()) < (24.3 if expected == 8 else 16.3)
    if keep_shape:
        assert step({"image": torch.zeros(shape)})["image"].shape == shape


def test_seed_fixes_the_sequence():
    first, second = (RandDihedrald("image").set_random_state(seed=1) for _ in range(2))
    for _ in range(6):
        drawn = [step({"image": image(1, 2, 2)})["dihedral"]["symmetry"] for step in (first, second)]
        assert drawn[0] == drawn[1]


def test_plane_of_a_volume():
    volume = image(1, 3, 4, 5)
    assert torch.equal(Dihedral(4, (0, 2))(volume).as_tensor(), volume.as_tensor().transpose(1, 3))


def test_missing_images_and_plain_arrays():
    step = RandDihedrald(["image", "label"], allow_missing_keys=True).set_random_state(seed=0)
    assert set(step({"image": torch.zeros(1, 2, 2).numpy()})) == {"image", "dihedral"}
    assert set(step({})) == {"dihedral"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8,), "symmetry is 8; give a number from 0 to 7"),
        ((1, (0, 2)), r"spatial_axes is \(0, 2\); give two of the 2 spatial axes"),
        ((1, (1, -1)), r"spatial_axes is \(1, -1\), twice the same"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Dihedral(*arguments)(torch.zeros(1, 2, 2))
