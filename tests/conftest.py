"""What tests of several rooms share: a training run that is as small as one can be."""

from __future__ import annotations

import pytest
from toy_run import ToyRun


def pytest_collection_modifyitems(items):
    """The commands of the pages take longest: they begin first, so that no process waits for them at the end."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")


@pytest.fixture
def toy(tmp_path):
    """Make toy runs in one folder: ``toy(max_epochs=3)``, and ``toy(resume=True)`` for one that goes on with it."""
    return lambda **options: ToyRun(tmp_path, **options)
