"""The crowd, once."""

from __future__ import annotations

import pytest

from hmrtk.toolkit.body.model import BodyModel

from .crowds import Crowd, crowd_of


@pytest.fixture(scope="session")
def crowd(body: BodyModel) -> Crowd:
    return crowd_of(body)
