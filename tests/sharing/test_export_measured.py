"""What an export says that its figures were measured on."""

from __future__ import annotations

import json

import pytest

from monai_seg.sharing.export.trained_bundle import TrainedBundle

SECTIONS = {
    "training": [{"image": "images/a.png"}, {"image": "images/b.png"}],
    "validation": [{"image": ["images/c_0000.nii.gz", "images/c_0001.nii.gz"]}],
    "test": [{"image": "angry/d.png"}, {"image": "happy/e.jpg"}],
}
SUMMARY = {"dice": {"cell": {"mean": 0.5}}}


def run_with_table_of(tmp_path, cases) -> TrainedBundle:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "datalist.json").write_text(json.dumps(SECTIONS))
    (tmp_path / "metrics" / "summary.json").write_text(json.dumps(SUMMARY))
    (tmp_path / "metrics" / "per_case.csv").write_text("case,class\n" + "".join(f"{case},cell\n" for case in cases))
    trained = TrainedBundle.__new__(TrainedBundle)  # its network is of no matter here
    trained.run_folder = tmp_path
    return trained


@pytest.mark.parametrize(
    ("cases", "section"),
    [
        (["angry/d", "happy/e"], "test"),
        (["d"], "test"),
        (["c_0000"], "validation"),
        (["a", "b"], "training"),
        (["a", "e"], "unknown cases"),
    ],
)
def test_figures_bear_the_name_of_their_section(tmp_path, cases, section):
    """A fold that validates all of its cases has no test: to call its figures so would be a claim too many."""
    assert run_with_table_of(tmp_path, cases).measured() == {section: SUMMARY}


def test_external_sets_have_their_own_name(tmp_path):
    trained = run_with_table_of(tmp_path, ["d"])
    (tmp_path / "external" / "hospital_b").mkdir(parents=True)
    (tmp_path / "external" / "hospital_b" / "summary.json").write_text(json.dumps(SUMMARY))
    assert list(trained.measured()) == ["test", "external hospital_b"]
