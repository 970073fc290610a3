"""A context as core gives it."""

import pytest

from omnitrain_testing.contexts import FakeContext


@pytest.fixture
def context(tmp_path):
    return FakeContext(tmp_path)
