"""Fixtures every test may use."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores; torch reads this once, when it is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

CLUSTERS = ("engine/test_cluster.py", "prototypes/test_distributed.py", "cli/test_ray.py", "shards/test_ray.py")
"""Tests that start a Ray cluster on this machine: one after the other, or one finds the other's."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With several workers (``-n``, ``--dist loadgroup``), the tests of a file stay together: they share fixtures."""
    for item in items:
        path = item.path.as_posix()
        item.add_marker(pytest.mark.xdist_group("clusters" if path.endswith(CLUSTERS) else path))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real motion, formats and photographs beside the checkout; skips where there is none."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no shared/ folder beside the checkout: real motion and format samples are not here")
    return folder


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """``s3://…`` of an empty bucket on an S3 server of our own on loopback; skips without s3fs and moto."""
    if importlib.util.find_spec("s3fs") is None or importlib.util.find_spec("moto") is None:
        pytest.skip("needs s3fs and moto[server] (the extra dev)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            _wait_for(port, server)
            import s3fs

            s3fs.S3FileSystem(use_listings_cache=False).mkdir("hmrtk-tests")
            yield "s3://hmrtk-tests"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the server answers."""
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the S3 server ended with exit status {server.returncode}")
