"""From a recipe for people to data alone, and from data alone back to a recipe: what may be said and what may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser
from monai.transforms import Compose, ScaleIntensityd

from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.plain_configuration import plain_items
from monai_seg.sharing.opening import OpenedBundle
from monai_seg.sharing.recipe_run import RecipeError, run_recipe, vetted_settings

REPOSITORY = Path(__file__).parents[2]
RECIPE = REPOSITORY / "bundles" / "membrane_em_segmentation" / "configs" / "train.yaml"
CLASSIFIER = REPOSITORY / "bundles" / "face_emotion_classification" / "configs" / "train.yaml"


def plain(text: str, *ids: str) -> dict[str, Any]:
    parser = ConfigParser(yaml.safe_load(text))
    parser.globals["math"] = __import__("math")
    return plain_items(parser, ids or ["item"])


def test_expressions_and_references_become_their_values():
    text = """
size: [48, 64]
half: "$[length // 2 for length in @size]"
item: {a: '@size', b: '@half', c: '@size#0', d: '@size::1', e: $math.pi > 3, f: null, g: [1, '@half'], h: plain}
"""
    assert plain(text)["item"] == {
        "a": [48, 64], "b": [24, 32], "c": 48, "d": 64, "e": True, "f": None, "g": [1, [24, 32]], "h": "plain",
    }  # fmt: skip


def test_components_bear_their_full_names_and_keep_their_own_arguments():
    text = """
key: image
item:
  _target_: Compose
  transforms:
    - {_target_: ScaleIntensityd, keys: '@key', minv: $1 / 4, _desc_: from a quarter, _requires_: '$None'}
    - {_target_: monai.transforms.ScaleIntensityd, keys: label}
    - {_target_: monai.transforms.intensity.dictionary.ScaleIntensityd, keys: third}
    - {_target_: monai.transforms.ScaleIntensityD, keys: fourth}
"""
    found = plain(text)["item"]
    name = "monai.transforms.ScaleIntensityd"
    assert found == {
        "_target_": "monai.transforms.Compose",
        "transforms": [
            {"_target_": name, "keys": "image", "minv": 0.25},
            {"_target_": name, "keys": "label"},
            {"_target_": name, "keys": "third"},
            {"_target_": name, "keys": "fourth"},
        ],
    }
    built = ConfigParser({"item": found}).get_parsed_content("item")
    assert isinstance(built, Compose)
    assert [type(each) for each in built.transforms] == [ScaleIntensityd] * 4


def test_disabled_components_are_left_out():
    text = """
wanted: false
item:
  - {_target_: ScaleIntensityd, _disabled_: $not @wanted, keys: image}
  - {_target_: ScaleIntensityd, _disabled_: '@wanted', keys: label}
"""
    assert [each["keys"] for each in plain(text)["item"]] == ["label"]


def test_the_reference_to_what_is_inverted_stays():
    text = """
preprocessing: {_target_: Compose, transforms: []}
item: {_target_: Invertd, keys: pred, orig_keys: image, transform: '@preprocessing', nearest_interp: false}
"""
    assert plain(text)["item"]["transform"] == "@preprocessing"


def test_readers_are_named():
    text = """
item:
  - {_target_: LoadImaged, keys: image, reader: '$monai.data.NibabelReader'}
  - {_target_: LoadImaged, keys: image, reader: '$our.RGBReader'}
  - {_target_: LoadImaged, keys: image, reader: PILReader}
"""
    import monai.data

    import monai_seg.data

    parser = ConfigParser(yaml.safe_load(text))
    parser.globals.update(monai=monai, our=monai_seg.data)
    named = [each["reader"] for each in plain_items(parser, ["item"])["item"]]
    assert named[1:] == ["monai_seg.data.RGBReader", "PILReader"]
    assert named[0] == "NibabelReader"


@pytest.mark.parametrize(
    ("item", "texts"),
    [
        ("{_target_: os.system, command: 'true'}", ("item is os.system", "registry")),
        ('[1, {_target_: Lambdad, keys: image, func: "$lambda x: x"}]', ("item#1",)),
        ("{deep: [{_target_: RandFlipd, keys: image}]}", ("item#deep#0 is RandFlipd", "no component")),
        ("{_target_: monai.transforms.NoSuchTransform}", ("item is monai.transforms.NoSuchTransform",)),
        ("{size: '$math.sqrt'}", ("item#size is builtin_function_or_method", "--form portable")),
        ("{size: '${1, 2}'}", ("item#size is set",)),
        ("{values: ['$math']}", ("item#values#0 is module",)),
    ],
)
def test_what_data_alone_cannot_say_is_refused_with_its_place(item, texts):
    with pytest.raises(ExportError) as refused:
        plain(f"item: {item}")
    for text in texts:
        assert text in str(refused.value)


def test_only_items_that_are_there_are_taken():
    assert plain("item: 1\nother: 2", "item", "missing") == {"item": 1}


# --- the way back: an export names one of our recipes, and what was set otherwise in it


@pytest.mark.parametrize(
    "settings",
    [
        {"max_epochs": 3, "learning_rate": 0.5, "class_names": ["cell"], "amp": "auto", "fold": None},
        {"network_def#features": [4, 4, 4, 4, 4, 4], "train#dataset#seed": 3},
        {"network_def#dropout": 0.5},  # which the recipe does not set, and the component may be given
        {},
    ],
)
def test_plain_settings_of_known_keys_are_taken(settings):
    if "train#dataset#seed" in settings:
        assert "seed" in yaml.safe_load(RECIPE.read_text())["train"]["dataset"]
    assert vetted_settings(settings, RECIPE) == settings


def test_a_network_that_is_named_in_full_may_be_set_too():
    assert vetted_settings({"network_def#dropout": 0.1, "architecture": "compact"}, CLASSIFIER)


@pytest.mark.parametrize(
    "settings",
    [
        {"imports": ["$import os"]},
        {"imports": ["os"]},
        {"initialize": [1]},
        {"run": "training"},
        {"training": []},
        {"evaluating": []},
        {"device": "$__import__('os').system('true')"},
        {"max_epochs": "$1 + 1"},
        {"max_epochs": "  $1 + 1"},
        {"max_epochs": "@batch_size"},
        {"max_epochs": "%training"},
        {"class_names": ["cell", "$1"]},
        {"class_names": {"_target_": "os.system"}},
        {"network_def": {"_target_": "os.system"}},
        {"network_def": "os.system"},
        {"network_def#_target_": "os.system"},
        {"network_def#_target_": "UNet"},
        {"network_def#_mode_": "debug"},
        {"network_def#pretrained": "weights"},
        {"network_def#features#0": 4},
        {"loss#_target_": "torch"},
        {"train#preprocessing#transforms": []},
        {"train#dataset": {"data": []}},
        {"amp": "os.system"},
        {"amp": "ｏｓ.system"},
        {"run_dir": "/tmp/somewhere"},
        {"dataset_dir": "../../secrets"},
        {"run_dir": "a\\b"},
        {"run_dir": ".."},
        {"resume": True},
        {"bundle_root": "elsewhere"},
        {"group_by": "a\\b"},
        {"max_epoch": 3},
        {"no#such#key": 3},
        {"+max_epochs": 3},
        {"~max_epochs": 3},
        {"max_epochs#": 3},
        {"": 3},
        {"class_names::0": "x"},
    ],
    ids=str,
)
def test_settings_that_might_do_something_are_refused(settings):
    key = next(iter(settings))
    with pytest.raises(RecipeError) as refused:
        vetted_settings(settings, RECIPE)
    assert repr(key) in str(refused.value)
    assert "membrane_em_segmentation" in str(refused.value)


@pytest.mark.parametrize("settings", [None, [], "max_epochs", 3, [["max_epochs", 3]]], ids=str)
def test_settings_of_another_kind_are_refused(settings):
    with pytest.raises(RecipeError, match="holds no settings"):
        vetted_settings(settings, RECIPE)


@pytest.mark.parametrize("run_id", ["training", "evaluating"])
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{}", "recipe '', which is not here"),
        ('{"recipe": "no_such_bundle"}', "recipe 'no_such_bundle', which is not here"),
        ('{"recipe": "../bundles/membrane_em_segmentation"}', "which is not here"),
        ('{"recipe": 3}', "which is not here"),
        ('{"recipe": "membrane_em_segmentation", "settings": {"imports": ["$import os"]}}', "sets 'imports'"),
        ('{"recipe": "membrane_em_segmentation", "settings": []}', "holds no settings"),
        ('{"recipe": "membrane_em_segmentation", "trained_on": 3}', "does not say how it was trained"),
        ("[]", "does not say how it was trained"),
        (None, "recipe '', which is not here"),
    ],
)
def test_only_a_recipe_of_ours_is_run(run_id, content, text, tmp_path):
    (tmp_path / "configs").mkdir()
    if content is not None:
        (tmp_path / "configs" / "training.json").write_text(content)
    with pytest.raises(RecipeError) as refused:
        run_recipe(OpenedBundle(tmp_path, is_data=True), run_id, {})
    assert text in str(refused.value)
