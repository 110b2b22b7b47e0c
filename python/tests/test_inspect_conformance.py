"""Inspect's own checks of a sandbox, against cells. Needs inspect-ai."""

from __future__ import annotations

import pytest

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed")

from inspect_ai.util._sandbox.self_check import *  # noqa: E402, F403

from loophole.inspect import CellSandbox  # noqa: E402

pytestmark = pytest.mark.anyio

#: What a cell cannot do, and why.
EXPECTED_FAILURES = {
    "test_exec_as_user": "a cell has one user without privileges; nothing in it can be root or add another",
}


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def sandbox_env(request, anyio_backend):
    reason = EXPECTED_FAILURES.get(request.node.originalname)
    if reason:
        request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    environments = await CellSandbox.sample_init("conformance", None, {})
    yield environments["default"]
    await CellSandbox.sample_cleanup("conformance", None, environments, False)


def test_all_44_are_here():
    here = [name for name in globals() if name.startswith("test_")]
    assert len(here) == 44 + 1 and set(EXPECTED_FAILURES) < set(here)
