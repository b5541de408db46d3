"""What makes a case of use: a mask, a class, or being there; and what is said where no case is."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_seg.data import LayoutError
from monai_seg.data.layouts.listing import Listing
from monai_seg.data.targets import AUTO, of_use

MASK = {"image": "/d/mask.png", "label": "/d/m.png"}
CLASS = {"image": "/d/class.png", "class": "joy"}
BARE = {"image": "/d/bare.png"}
EMPTY = {"image": "/d/empty.png", "label": None}


@pytest.mark.parametrize(
    ("target_key", "kept"),
    [
        ("label", [MASK]),
        ("class", [CLASS]),
        (None, [MASK, CLASS, BARE, EMPTY]),
        (AUTO, [MASK, CLASS]),
    ],
)
def test_cases_by_what_they_hold(target_key, kept):
    whole = Listing("datalist", Path("/d"), {"training": [MASK, CLASS], "test": [BARE, EMPTY]})
    left = of_use(whole, target_key)
    assert [record for part in left.sections.values() for record in part] == kept
    assert left.sections["training"][0] is not MASK  # records are written to later


def test_every_image_of_a_data_set_without_targets_is_taken_automatically():
    assert of_use(Listing("images", Path("/d"), {"unsplit": [BARE]}), AUTO).sections == {"unsplit": [BARE]}


@pytest.mark.parametrize(
    ("target_key", "text"),
    [
        ("label", "no case with a mask in /d\n  found  2 cases without a mask\n  mend   add a mask"),
        ("class", "no case with a class in /d\n  found  2 cases without a class"),
        ("box", "no case with a 'box' in /d\n  found  2 cases without a 'box'"),
    ],
)
def test_no_case_of_use_says_what_lacks(target_key, text):
    with pytest.raises(LayoutError) as caught:
        of_use(Listing("images", Path("/d"), {"unsplit": [BARE, EMPTY]}), target_key)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("target_key", ["label", None, AUTO])
def test_no_case_at_all(target_key):
    with pytest.raises(LayoutError, match="no image in /d"):
        of_use(Listing("images", Path("/d"), {}), target_key)
