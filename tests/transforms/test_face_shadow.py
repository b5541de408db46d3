"""Shadows on faces: what light does, where the mask lies, how they are replayed and drawn, what they refuse."""

import copy
import json
import math
import pickle
from dataclasses import asdict

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate
from monai.transforms import Compose, Flipd
from scipy import ndimage
from scipy.special import ndtr

from monai_seg.transforms import FaceShadow, FaceShadowRanges, RandFaceShadow, RandFaceShadowd
from monai_seg.transforms.face_shadow_light import (
    FaceFrame,
    blur,
    drape,
    draw,
    smooth_noise,
    soften,
    to_linear,
    to_srgb,
)
from monai_seg.transforms.face_shadow_silhouettes import OCCLUDERS, silhouette

KINDS = tuple(OCCLUDERS)
FRAME = FaceFrame(height=96, width=80, row=48, col=40, half_height=44, half_width=32)
EVEN = {"variation": 0.0, "scattering": 0.0}
COVERS_ALL, MISSES = {"kind": "brim", "seed": 1, "row_shift": 4.0}, {"kind": "brim", "seed": 1, "row_shift": -4.0}


def photograph(*shape, seed=0, dtype=torch.float32):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def tinted(value: float, height: int, width: int) -> torch.Tensor:
    """A colour photograph of one grey, but for a trace of red, without which it would count as grey."""
    image = torch.full((3, height, width), value)
    image[0] += 1e-6
    return image


def left_half(edge=0.0):
    return [np.array([[-9, -9], [edge, -9], [edge, 9], [-9, 9]])]


# Light


def test_full_shadow_leaves_the_ambient_light_in_linear_light():
    ambient = {"ambient_red": 0.2, "ambient_green": 0.25, "ambient_blue": 0.5}
    image, mask = FaceShadow(**COVERS_ALL, **EVEN, **ambient)(tinted(0.5, 32, 24))
    # sRGB 0.5 is 0.2140 of the light; a quarter of that is 0.0535, which is sRGB 0.2565.
    expected = [1.055 * (0.21404114 * share) ** (1 / 2.4) - 0.055 for share in ambient.values()]
    assert expected[1] == pytest.approx(0.2565, abs=1e-4)
    torch.testing.assert_close(image, torch.tensor(expected)[:, None, None].expand(3, 32, 24), atol=1e-5, rtol=0)
    rows, cols = np.mgrid[:32, :24]
    ellipse = ((rows + 0.5) / 32 - 0.5) ** 2 / 0.46**2 + ((cols + 0.5) / 24 - 0.5) ** 2 / 0.38**2 <= 1
    assert np.array_equal(mask[0].numpy(), ellipse)


def test_grey_gets_the_luminance_of_the_light():
    image, _ = FaceShadow(**COVERS_ALL, **EVEN, ambient_red=0.2, ambient_green=0.3, ambient_blue=0.4)(
        torch.full((1, 8, 8), 1.0)
    )
    light = 0.2126 * 0.2 + 0.7152 * 0.3 + 0.0722 * 0.4
    assert image.flatten().tolist() == pytest.approx([1.055 * light ** (1 / 2.4) - 0.055] * 64, abs=1e-5)


def test_a_pixel_in_full_light_keeps_its_bits():
    image = photograph(3, 40, 30)
    shaded, mask = FaceShadow(**MISSES)(image)
    assert torch.equal(shaded, image)
    assert mask.sum() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_shadow_darkens_but_is_never_black(kind):
    image = photograph(3, 64, 64) * 0.5 + 0.5
    shaded, _ = FaceShadow(kind=kind, seed=2, ambient_red=0.2, ambient_green=0.2, ambient_blue=0.2)(image)
    assert (shaded <= image + 1e-6).all()
    assert (to_linear(shaded) >= 0.2 * 0.75 * to_linear(image)).all()  # the variation is at most 20 %
    assert (shaded < image - 0.1).any()


def test_srgb_and_back():
    value = torch.linspace(0, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(to_srgb(to_linear(value)), value, atol=1e-6, rtol=0)
    assert to_linear(torch.tensor([0.0, 0.04045, 1.0])).tolist() == pytest.approx([0, 0.0031308, 1], abs=1e-6)


def test_red_light_wanders_into_the_shadow():
    image, mask = FaceShadow(
        kind="brim", seed=1, penumbra_near=0.005, penumbra_far=0.005, scattering=0.05, variation=0.0
    )(tinted(0.8, 128, 128))
    light = to_linear(image)[:, :, 64]
    redness, inside = light[0] / light[2], mask[0, :, 64] > 0
    deep = redness[20]  # far above the edge
    assert inside[20]
    assert redness[inside].max() > 1.3 * deep
    assert redness[~inside][:-20].min() < redness[-25]  # and is missing on the lit side


def test_variation_is_slow_and_bounded():
    noise = smooth_noise(FRAME, np.random.RandomState(0))
    assert noise.shape == (96, 80)
    assert np.abs(noise).max() <= 1
    assert np.abs(np.diff(noise, axis=0)).max() < 0.15


# Geometry


def test_a_polygon_covers_shares_of_pixels():
    frame = FaceFrame(height=8, width=8, row=4, col=4, half_height=4, half_width=4)
    cover = draw(frame, left_half(edge=0.125))  # half a pixel to the right of the middle
    assert cover[:, :4].min() == 1
    assert cover[:, 5:].max() == 0
    assert cover[:, 4] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("sigma", [0.8, 2.5, 4.0, 9.0, 20.0])
def test_wide_blurs_are_gaussian_too(sigma):
    field = draw(FRAME, [np.array([[-0.5, -0.7], [0.6, -0.4], [0.1, 0.8]])])
    assert np.abs(blur(field, sigma) - ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=5)).max() < 0.012


def test_penumbra_of_an_edge_is_a_normal_distribution():
    soft = soften(FRAME, draw(FRAME, left_half()), near=0.05, far=0.05, towards_rad=0.0)
    _, cols = FRAME.grid()
    assert np.abs(soft[48] - ndtr(-cols[0] / 0.05)).max() < 0.01


def test_penumbra_widens_on_its_way():
    soft = soften(FRAME, draw(FRAME, left_half()), near=0.01, far=0.2, towards_rad=math.pi / 2)  # downwards
    width = [((soft[row] > 0.1) & (soft[row] < 0.9)).sum() for row in (4, 30, 60, 92)]
    assert width[0] <= 2
    assert width == sorted(width)
    assert width[-1] > 15


def test_oblique_light_bends_an_edge_round_the_head():
    shadow = draw(FRAME, left_half(0.1))
    bent = drape(FRAME, shadow, slope=0.5, light_rad=0.0)
    reach = (bent > 0.5).sum(axis=1)
    assert reach[46] < reach[10] < reach[1] == (shadow > 0.5)[1].sum()
    assert drape(FRAME, shadow, slope=0.0, light_rad=0.0) is shadow


@pytest.mark.parametrize("kind", KINDS)
def test_silhouettes_vary_with_the_seed_alone(kind):
    first, again, other = (draw(FRAME, OCCLUDERS[kind].outlines(np.random.RandomState(s))) for s in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(outline.shape[1] == 2 and np.isfinite(outline).all() for outline in silhouette(kind, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_mean_the_same_at_every_size(kind):
    shadow = FaceShadow(kind=kind, seed=5, penumbra_near=0.02, penumbra_far=0.1, light_slope=0.3)
    small, large = (shadow(torch.ones(1, size, size))[1][0].numpy() for size in (120, 360))
    assert (small != large[1::3, 1::3]).mean() < 0.01


# Mask


@pytest.mark.parametrize("kind", KINDS)
def test_mask_is_where_more_than_half_of_the_light_is_taken_from_the_face(kind):
    shadow = FaceShadow(kind=kind, seed=3)
    occlusion, inside = shadow.occlusion((70, 50))
    _, mask = shadow(torch.ones(3, 70, 50))
    face = shadow.frame(70, 50).ellipse() <= 1
    assert np.array_equal(mask[0].numpy() > 0, inside)
    assert np.array_equal(inside, (occlusion > 0.5) & face)
    assert occlusion.min() >= 0
    assert occlusion.max() <= 1 + 1e-6


def test_a_face_region_takes_the_place_of_the_ellipse():
    face = torch.zeros(1, 32, 32)
    face[:, 3:9, 20:30] = 1
    _, mask = FaceShadow(**COVERS_ALL)(torch.ones(3, 32, 32), face)
    assert torch.equal(mask, face)


def test_without_spill_the_background_keeps_its_bits():
    image, face = photograph(3, 32, 32), torch.zeros(1, 32, 32)
    face[:, 8:24, 8:24] = 1
    shaded, _ = FaceShadow(**COVERS_ALL, spill=0.0, scattering=0.0)(image, face)
    outside = (face == 0).expand(3, -1, -1)
    assert torch.equal(shaded[outside], image[outside])
    assert (shaded[~outside] < image[~outside]).all()


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (3, 5, 1), (1, 33, 20), (3, 20, 90), (3, 330, 340)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_any_size(shape):
    image, mask = FaceShadow(kind="foliage", seed=0, penumbra_far=0.2, light_slope=0.4)(photograph(*shape))
    assert image.shape == shape
    assert mask.shape == (1, *shape[1:])
    assert image.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    image, mask = FaceShadow(kind="hand", seed=0)(photograph(3, 24, 24, dtype=dtype))
    assert image.dtype == mask.dtype == dtype


# Replay


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_recorded_parameters_replay_the_same_bits(kind, channels):
    image = photograph(channels, 61, 47)
    caster = RandFaceShadowd("image", prob=1.0, ranges=FaceShadowRanges(kinds=(kind,))).set_random_state(seed=4)
    sample = caster({"image": image})
    silhouette.cache_clear()
    again, mask = FaceShadow(**json.loads(json.dumps(sample["face_shadow"])))(image)
    assert sample["face_shadow"]["kind"] == kind
    assert torch.equal(again, sample["image"])
    assert torch.equal(mask, sample["label"])


def test_replay_does_not_depend_on_the_number_of_threads():
    """`torch.pow` gives other last bits on another number of threads; workers have one, the main process several."""
    image, shadow, before = photograph(3, 257, 131), FaceShadow(kind="blinds", seed=2, light_slope=0.3), []
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            before.append(shadow(image))
    finally:
        torch.set_num_threads(threads)
    for shaded, mask in before[1:]:
        assert torch.equal(shaded, before[0][0])
        assert torch.equal(mask, before[0][1])


def test_replay_with_a_face_region():
    face = torch.zeros(1, 50, 60)
    face[:, 5:35, 30:55] = 1
    image = photograph(3, 50, 60)
    sample = RandFaceShadowd("image", face_key="face", prob=1.0).set_random_state(seed=1)(
        {"image": image, "face": face}
    )
    drawn = sample["face_shadow"]
    centre = (drawn["face_row"] * 50, drawn["face_col"] * 60, drawn["face_half_height"] * 50)
    assert centre == pytest.approx((20, 42.5, 15))
    again, mask = FaceShadow(**drawn)(image, face)
    assert torch.equal(again, sample["image"])
    assert torch.equal(mask, sample["label"])
    assert (mask <= face).all()
    assert mask.sum() > 0


# Drawing


def test_seed_fixes_the_sequence_but_draws_differ():
    image = photograph(1, 20, 20)
    first, second = (RandFaceShadowd("image").set_random_state(seed=7) for _ in range(2))
    draws = [first({"image": image})["face_shadow"] for _ in range(4)]
    assert draws == [second({"image": image})["face_shadow"] for _ in range(4)]
    assert len({json.dumps(draw) for draw in draws}) == 4


@pytest.mark.parametrize("maker", [copy.deepcopy, lambda caster: pickle.loads(pickle.dumps(caster))])
def test_a_copy_for_a_worker_draws_the_same(maker):
    caster = RandFaceShadowd("image").set_random_state(seed=7)
    twin, image = maker(caster), photograph(1, 20, 20)
    assert caster({"image": image})["face_shadow"] == twin({"image": image})["face_shadow"]


def test_one_in_ten_has_no_shadow():
    caster, image = RandFaceShadow().set_random_state(seed=0), photograph(1, 8, 8)
    empty = 0
    for _ in range(200):
        shaded, mask = caster(image)
        if caster.shadow.kind == "none":
            empty += 1
            assert torch.equal(shaded, image)
            assert mask.sum() == 0
    assert 10 <= empty <= 32


def test_mask_takes_a_share_of_the_face_within_the_range():
    ranges = FaceShadowRanges(coverage=(0.1, 0.5))
    caster, image = RandFaceShadow(1.0, ranges).set_random_state(seed=0), photograph(1, 64, 64)
    face = FaceShadow(kind="none", seed=0).frame(64, 64).ellipse() <= 1
    shares = np.array([caster(image)[1].sum().item() / face.sum() for _ in range(40)])
    assert ((shares >= 0.1) & (shares <= 0.5)).mean() >= 0.95
    assert shares.std() > 0.05


def test_without_a_face_there_is_no_shadow():
    image, face = photograph(3, 20, 20), torch.zeros(1, 20, 20)
    sample = RandFaceShadowd("image", face_key="face", prob=1.0)({"image": image, "face": face})
    assert torch.equal(sample["image"], image)
    assert sample["label"].sum() == 0
    assert sample["face_shadow"]["kind"] == "none"


def test_meta_data_go_with_image_and_mask():
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    image = MetaTensor(photograph(3, 20, 24), affine=affine, meta={"filename_or_obj": "face.png"})
    steps = Compose([Flipd("image", 0), RandFaceShadowd("image", mask_key="shadow", prob=1.0)])
    sample = steps.set_random_state(seed=0)({"image": image})
    for key in ("image", "shadow"):
        assert isinstance(sample[key], MetaTensor)
        assert sample[key].meta["filename_or_obj"] == "face.png"
        assert sample[key].affine[0, 0] == -2  # as the flip has left it
        assert [step["class"] for step in sample[key].applied_operations] == ["Flip"]
    sample["shadow"].meta["filename_or_obj"] = "other"
    assert sample["image"].meta["filename_or_obj"] == "face.png"


def test_images_of_a_sample_share_their_shadow():
    colour, grey = photograph(3, 30, 30), photograph(1, 30, 30)
    sample = RandFaceShadowd(["a", "b"], prob=1.0).set_random_state(seed=0)({"a": colour, "b": grey})
    assert torch.equal(sample["b"], FaceShadow(**sample["face_shadow"])(grey)[0])
    with pytest.raises(ValueError, match=r"b is \(30, 20\) pixels large, a \(30, 30\)"):
        RandFaceShadowd(["a", "b"])({"a": colour, "b": grey[..., :20]})
    assert set(RandFaceShadowd(["a", "b"], allow_missing_keys=True)({"a": colour})) == {"a", "label", "face_shadow"}


def test_samples_with_and_without_shadow_collate():
    samples = [RandFaceShadowd("image", prob=prob)({"image": photograph(1, 8, 8)}) for prob in (0.0, 1.0)]
    first, second = decollate_batch(list_data_collate(samples))
    assert first["face_shadow"]["kind"] == "none"
    assert FaceShadow(**second["face_shadow"]) == FaceShadow(**samples[1]["face_shadow"])


# Refusals


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.full((3, 4, 4), 255.0), r"between 255 and 255; scale them to \[0, 1\]"),
        (torch.full((3, 4, 4), -0.1), "between -0.1 and -0.1"),
        (torch.full((3, 4, 4), torch.nan), "between nan and nan"),
        (torch.ones(3, 4, 4, dtype=torch.uint8), "dtype torch.uint8; scale it to float"),
        (torch.ones(4, 4, 4), r"shape \(4, 4, 4\); give \(1, H, W\)"),
        (torch.ones(4, 4), r"shape \(4, 4\)"),
        (torch.ones(3, 0, 4), r"shape \(3, 0, 4\)"),
    ],
)
def test_what_is_no_photograph_is_refused(image, message):
    for cast in (FaceShadow(kind="none", seed=0), RandFaceShadow()):
        with pytest.raises(ValueError, match=message):
            cast(image)


def test_a_region_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 5, 4\), the image needs \(1, 4, 4\)"):
        FaceShadow(kind="hand", seed=0)(torch.ones(3, 4, 4), torch.ones(1, 5, 4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "umbrella"}, "kind is 'umbrella'; give one of hand, brim"),
        ({"ambient_red": 1.2}, "ambient_red is 1.2; give a share"),
        ({"variation": -0.1}, "variation is -0.1"),
        ({"scale": 0.0}, "scale is 0.0; give a size above 0"),
        ({"penumbra_near": 0.2}, "penumbra_near is 0.2 and penumbra_far 0.05"),
        ({"scattering": -1.0}, "scattering is -1.0"),
    ],
)
def test_impossible_parameters_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        FaceShadow(**{"kind": "hand", "seed": 0, **wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kinds": ("hand", "umbrella")}, "kinds holds umbrella"),
        ({"kinds": ()}, "kinds is empty"),
        ({"penumbra": (0.0, 0.1)}, "penumbra starts at 0.0"),
        ({"coverage": (0.8, 0.1)}, "coverage runs from 0.8 to 0.1; give the smaller value first"),
        ({"ambient": (0.1, 1.5)}, "ambient runs from 0.1 to 1.5; give shares"),
        ({"ambient": (0.1, 0.95)}, "more light than there is"),
    ],
)
def test_impossible_ranges_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        FaceShadowRanges(**wrong)


def test_parameters_are_plain():
    shadow = FaceShadowRanges().shadow(np.random.RandomState(0))
    assert {type(value) for value in asdict(shadow).values()} == {str, int, float}
