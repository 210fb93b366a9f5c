"""Istio's programs come from outside (binaries.py); without them these tests are skipped, and say what to provide.

`pytest tests/istio --log-cli-level=INFO` tells the story while it runs. Some minutes each: leaves live 30 s.
"""

from collections.abc import Iterator

import pytest

from testkit import apiserver as real
from testkit.apiserver import APIServer
from testkit.programs import Unavailable
from tests.istio import binaries as programs
from tests.istio.binaries import Binaries


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    try:
        return programs.find()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def own_apiserver(binaries: Binaries) -> Iterator[APIServer]:  # noqa: ARG001  # nothing is started without them
    """One per test: an operator sees every MeshCA of its cluster, and istiod writes into every namespace."""
    with real.required() as server:
        yield server
