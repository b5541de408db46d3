"""Which pairs are proposed: features against their definition, and a search by cells against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from planted_copies import ALTERED, picture
from scipy.fft import dctn

from monai_seg.data.duplicates import proposals
from monai_seg.data.duplicates.features import TURNS, WINDOWS, turned, turned_features, window_features
from monai_seg.data.duplicates.prints import SIDE
from monai_seg.data.duplicates.registration import register, warped


def thumbnails(*images) -> np.ndarray:
    return np.stack([np.asarray(image.convert("L").resize((SIDE, SIDE))) for image in images])


def test_features_are_weighted_cosine_amplitudes():
    values = thumbnails(picture(0))
    waves = dctn(values[0].astype(float), norm="ortho")[:8, :8]
    # A pixel holds the mean of the light that falls on it: fine waves lose a little.
    waves *= np.outer(*[np.sinc(np.arange(8) / (2 * SIDE))] * 2) * np.hypot(*np.mgrid[:8, :8])
    assert window_features(values)[0, 0] == pytest.approx(waves.ravel() / np.linalg.norm(waves), abs=1e-5)


def test_a_window_has_the_features_of_its_part():
    large = picture(3, 200)
    top, bottom, left, right = WINDOWS[8]
    part = large.crop((round(left * 200), round(top * 200), round(right * 200), round(bottom * 200)))
    features = window_features(thumbnails(large, part))
    assert features[8, 0] @ features[0, 1] > 0.99
    assert features[0, 0] @ features[0, 1] < 0.8


@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_turned_features_are_features_of_turned_images(turn):
    values = thumbnails(picture(0), picture(1))
    assert turned_features(window_features(values)[0], turn) == pytest.approx(
        window_features(turned(values, turn))[0], abs=1e-5
    )


def test_cells_propose_what_all_pairs_propose(monkeypatch):
    images = [picture(seed, 64) for seed in range(150)]
    alterations = [ALTERED[name] for name in ("cut by 5%", "cut unevenly", "mirrored", "quarter turn", "recompressed")]
    copies = [alterations[seed % 5](images[seed]) for seed in range(50)]
    values = thumbnails(*images, *copies)
    exhaustive = proposals.propose(values)
    monkeypatch.setattr(proposals, "_EXHAUSTIVE", 50)
    monkeypatch.setattr(proposals, "_IMAGES_PER_CELL", 10)
    monkeypatch.setattr(proposals, "_MOST_SIMILARITIES", 1000)  # many blocks
    by_cells = proposals.propose(values)
    wanted = {(seed, 150 + seed) for seed in range(50)}
    for found in (exhaustive, by_cells):
        assert wanted <= {
            tuple(sorted(pair)) for pair in zip(found.copy.tolist(), found.original.tolist(), strict=True)
        }


def test_no_image_proposes_itself_or_more_than_a_few():
    found = proposals.propose(thumbnails(*[picture(0)] * 40))
    assert (found.copy != found.original).all()
    assert np.bincount(found.copy).max() <= 2 * proposals.MOST_PARTNERS * 40
    assert len(found) <= proposals.MOST_PARTNERS * 40


def test_registration_finds_a_known_map():
    image = thumbnails(picture(5)).astype(np.float32)
    known = np.array([[[0.9, 0.02, 0.04], [-0.02, 0.88, -0.03]]], np.float32)
    template = warped(image, known)[0].reshape(image.shape)
    start = np.array([[[0.93, 0.0, 0.0], [0.0, 0.93, 0.0]]], np.float32)
    assert register(template, image, start, 12) == pytest.approx(known, abs=0.005)


def test_without_contrast_the_guess_stays():
    flat = np.ones((1, SIDE, SIDE), np.float32)
    start = np.array([[[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]]], np.float32)
    assert register(flat, flat, start, 5) == pytest.approx(start)
