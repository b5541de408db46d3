"""Every command and example of the README, docs/ and the bundles' pages runs, as a reader would run it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    REPOSITORY / "README.md",
    *(REPOSITORY / "docs" / f"{name}.md" for name in ("data", "train", "evaluate", "predict", "sharing", "instances")),
    REPOSITORY / "docs" / "duplicates.md",  # takes the run that the pages before have evaluated
    *sorted(REPOSITORY.glob("bundles/*/docs/README.md")),
]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FEW_FEATURES = ["--network_def#features", "[4,4,4,4,4,4]"]
# Of each bundle, by a word of its name: the sample data that it takes, and what makes its network tiny.
BUNDLES = {
    "hippocampus": ("volumes", FEW_FEATURES),
    "membrane": ("cells", FEW_FEATURES),
    "face_emotion": ("expressions", ["--architecture", "compact", "--image_size", "32"]),
    "face": ("faces", ["--network_def#encoder", "resnet18", "--image_size", "[64,64]"]),
    "building": ("aerial", FEW_FEATURES),
    "brain_tumor": ("slices", ["--network_def#fpn_channels", "8", "--image_size", "64"]),
}
OF_PAGE = {"instances": "brain_tumor"}  # whose data a command without the name of a bundle takes
FOLDERS = {"volumes": ("imagesTr", "labelsTr"), "faces": ("images",)}
MOST_CASES = 20
# These run the suite itself, or belong to the shell of the reader.
NOT_HERE = ("scripts/test", "source ")


def commands_of(page: Path) -> list[str]:
    lines = [line.split("    #")[0].strip() for block in BLOCK.findall(page.read_text()) for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(NOT_HERE)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder as a reader has it: bundles, and a small data set of each kind."""
    from monai_seg.data import sample_data

    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(REPOSITORY / "bundles", folder / "bundles")
    write_other_data(folder / "other")
    for kind, _ in BUNDLES.values():
        source = Path(sample_data(kind))
        if kind in ("slices", "expressions"):  # whose names are in a file
            shutil.copytree(source, folder / kind)
            continue
        for part in FOLDERS.get(kind, ("images", "masks")):
            (folder / kind / part).mkdir(parents=True)
            files = sorted((source / part).iterdir())[: 8 if kind == "volumes" else MOST_CASES]
            for number, file in enumerate(files):
                shutil.copy(file, folder / kind / part / f"patient{number // 2}_{file.name}")
    return folder


def write_other_data(folder):
    """Sections of membranes that no run has seen."""
    from PIL import Image, ImageOps

    from monai_seg.data import sample_data

    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for file in sorted((Path(sample_data("cells")) / part).iterdir())[:2]:
            ImageOps.flip(Image.open(file)).crop((7, 7, 200, 180)).save(folder / part / file.name)


def prepared(command: str, desk: Path, page: Path) -> list[str]:
    assumed = BUNDLES[OF_PAGE.get(page.stem, "membrane")]
    kind, tiny = next((found for name, found in BUNDLES.items() if name in command), assumed)
    places = {"DATA": desk / kind, "OTHER": desk / "other"}
    words = [re.sub("DATA|OTHER", lambda found: str(places[found[0]]), word) for word in shlex.split(command)]
    if words[0] == "scripts/demo":
        return [str(REPOSITORY / "scripts" / "demo"), "5"]
    if words[0] == "tensorboard":
        return [str(Path(sys.executable).parent / "tensorboard"), *words[1:], "--inspect"]
    if words[0] == "monai-seg":
        # The desk holds copies of the bundles, which are not ours where they lie; those of a reader's checkout are.
        trust = ["--trust"] if words[1] == "predict" else []
        return [sys.executable, "-m", "monai_seg", *words[1:], *trust]
    if "bundles/" not in command:  # of an export, whose network is tiny already
        return [sys.executable, *words[1:]]
    return [sys.executable, *words[1:], *(["--max_epochs", "1"] if "train.yaml" in command else []), *tiny]


def test_pages_hold_commands():
    assert [len(commands_of(page)) > 0 for page in PAGES] == [True] * len(PAGES)


def test_examples_run():
    pages = [*PAGES, *REPOSITORY.glob("docs/*.md")]
    examples = {page.name: "\n".join(EXAMPLE.findall(page.read_text())) for page in pages}
    assert examples["metrics.md"]
    for code in filter(None, examples.values()):
        exec(code, {})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_commands_of_a_page_run(page, desk):
    # Each page stands alone: what it takes for granted is a run named runs/mine.
    run = desk / "runs" / "mine"
    shown = []
    for command in commands_of(page):
        if "runs/mine" in command and page.stem != "train" and not run.exists():
            pytest.fail("the page on training comes first and makes runs/mine")
        words = prepared(command, desk, page)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, cwd=desk, capture_output=True, text=True, timeout=400, env=environment)
        shown.append(f"$ {command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}")
        assert done.returncode in ((0, 1) if words[1:3] == ["-m", "monai_seg"] else (0,)), "\n".join(shown)
