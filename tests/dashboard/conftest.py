"""The scene is played once."""

import pytest

from tests.dashboard.scene import Seen
from tests.dashboard.scene import seen as play


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What every query found on a mesh that fares well, and on one that fares ill."""
    return play(tmp_path_factory.mktemp("dashboard"))
