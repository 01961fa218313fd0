"""What the tests written as functions ask for by name."""
import pytest

from harness import World


@pytest.fixture
def world():
    w = World()
    yield w
    w.close()
