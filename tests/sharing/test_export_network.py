"""Networks as programs: other batches and sizes than the one that was exported, and what is not to be had."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch

from monai_seg.sharing.export import network_program
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.network_program import (
    exported_program,
    largest_difference,
    require,
    run_onnx,
    write_onnx,
    write_torchscript,
)
from monai_seg.sharing.portable.exported_network import ExportedNetwork


class Convolution(torch.nn.Sequential):
    def __init__(self) -> None:
        super().__init__(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.ReLU())


class OneSize(torch.nn.Module):
    """A linear layer over the whole image, as classifiers of one size have it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(2 * 16 * 16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(image.flatten(1))


class Counting(torch.nn.Module):
    """What it gives depends on values, as in a detector."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[image > 0].sum() * torch.ones(int(image.sum() > 0) + 1)


def saved(network: torch.nn.Module, example: torch.Tensor, path: Path) -> tuple[ExportedNetwork, bool]:
    program, is_free = exported_program(network, example)
    torch.export.save(program, path)
    return ExportedNetwork(str(path)), is_free


def test_the_program_takes_other_batches_and_sizes(tmp_path):
    torch.manual_seed(0)
    network = Convolution().eval()
    program, is_free = saved(network, torch.randn(1, 2, 16, 16), tmp_path / "model.pt2")
    assert is_free
    for size in ((1, 2, 16, 16), (3, 2, 16, 16), (1, 2, 40, 24), (5, 2, 33, 17)):
        image = torch.randn(size)
        with torch.no_grad():
            assert largest_difference(program(image), network(image)) < 1e-6


def test_a_network_of_one_size_is_a_program_of_one_size_and_any_batch(tmp_path):
    network = OneSize().eval()
    program, is_free = saved(network, torch.randn(1, 2, 16, 16), tmp_path / "model.pt2")
    assert not is_free
    image = torch.randn(7, 2, 16, 16)
    with torch.no_grad():
        assert largest_difference(program(image), network(image)) < 1e-6


def test_the_program_keeps_training_and_evaluation_out_of_the_question(tmp_path):
    program, _ = saved(Convolution().eval(), torch.randn(1, 2, 16, 16), tmp_path / "model.pt2")
    image = torch.randn(2, 2, 16, 16)
    assert torch.equal(program.train()(image), program.eval()(image))
    assert program.state_dict() == {}  # nothing that a checkpoint could be loaded into by mistake


def test_a_program_does_not_tell_where_its_source_lies(tmp_path):
    program, _ = exported_program(OneSize().eval(), torch.randn(1, 2, 16, 16))
    content = io.BytesIO()
    torch.export.save(program, content)
    with zipfile.ZipFile(content) as inside:
        found = b"".join(inside.read(name) for name in inside.namelist())
    assert b"flatten" in found
    assert Path(__file__).name.encode() not in found
    assert str(Path(torch.__file__).parents[1]).encode() not in found


def test_a_network_that_depends_on_values_is_refused_by_name():
    with pytest.raises(ExportError, match="does not follow the Counting"):
        exported_program(Counting().eval(), torch.randn(1, 1, 8, 8))


def test_a_program_that_says_something_else_at_another_size_is_not_taken_for_free(monkeypatch):
    def differs(*_):
        raise ValueError("differs")

    monkeypatch.setattr(network_program, "_require_alike", differs)
    _, is_free = exported_program(Convolution().eval(), torch.randn(1, 2, 16, 16))
    assert not is_free


def test_the_largest_difference_is_that_of_any_output():
    one = [torch.zeros(2), torch.tensor([1.0, 2.0])]
    assert largest_difference(one, [torch.zeros(2), torch.tensor([1.0, 5.0])]) == 3.0
    with pytest.raises(ValueError, match="shorter"):
        largest_difference(one, one[:1])


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_torchscript_says_the_same(tmp_path):
    network, image = Convolution().eval(), torch.randn(1, 2, 16, 16)
    write_torchscript(network, image, tmp_path / "model.ts")
    with torch.no_grad():
        assert largest_difference(torch.jit.load(tmp_path / "model.ts")(image), network(image)) < 1e-6


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(network_program._PACKAGES, "onnx", ("no_such_package_of_all",))
    with pytest.raises(ExportError, match=r"no_such_package_of_all(.|\n)*pip install monai-seg\[onnx\]"):
        require("onnx")


@pytest.mark.slow
def test_onnx_says_the_same_of_other_batches_and_sizes(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = Convolution().eval()
    program, _ = exported_program(network, torch.randn(1, 2, 16, 16))
    write_onnx(program, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # with all its weights inside
    for size in ((1, 2, 16, 16), (3, 2, 40, 24)):
        image = torch.randn(size)
        with torch.no_grad():
            assert largest_difference(run_onnx(tmp_path / "model.onnx", image), network(image)) < 1e-5
    assert str(Path(torch.__file__).parents[1]).encode() not in (tmp_path / "model.onnx").read_bytes()
