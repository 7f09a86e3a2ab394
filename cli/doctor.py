"""``hmrtk doctor``: what is installed, what was found, what is missing and how to get it. Never fails on a finding."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import body_option, json_option

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "faiss-gpu",
    "faiss-cpu",
    "smplx",
    "numba",
    "opencv-python-headless",
    "simplejpeg",
    "safetensors",
    "matplotlib",
)


@click.command()
@body_option
@json_option
@click.pass_obj
def doctor(console: Console, body_path: Path | None) -> None:
    """Tell what is installed, found and missing."""
    found = {
        "hmrtk": importlib.metadata.version("hmrtk"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "blas": _blas(),
        "devices": _devices(),
        "body": _body(body_path),
        "datasets": _datasets(console.workspace),
    }
    console.result(found, _lines(found))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> list[dict[str, Any]]:
    import numpy  # noqa: F401 - loads the BLAS that threadpoolctl then sees
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads")
    return [{k: pool.get(k) for k in keys} for pool in threadpool_info() if pool["user_api"] == "blas"]


def _devices() -> dict[str, Any]:
    import torch

    from hmrtk.toolkit.prototypes.search import resolve_device

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"torch_cuda": names, "faiss": resolve_device("auto")}


def _body(path: Path | None) -> dict[str, Any]:
    from hmrtk.toolkit.body.model import load_body
    from hmrtk.toolkit.errors import HmrtkError

    try:
        body = load_body(path)
    except HmrtkError as error:
        return {"problem": str(error)}
    return {"place": body.place, "fingerprint": body.fingerprint}


def _datasets(workspace: Path) -> dict[str, str]:
    from hmrtk.toolkit.pipeline import record_folder
    from hmrtk.toolkit.records.manifest import load_manifest, manifest_names

    state = {}
    for name in manifest_names():
        tables = sorted(p.stem for p in record_folder(workspace, name).glob("*.parquet"))
        if name == "embedded":
            state[name] = "ready (in the package)"
        elif tables:
            state[name] = f"ingested: {', '.join(tables)}"
        else:
            state[name] = f"not here; see: hmrtk datasets show {load_manifest(name).name}"
    return state


def _lines(found: dict[str, Any]) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version)
    devices, body = found["devices"], found["body"]
    blas = ", ".join(
        f"{b['internal_api']} {b['version']} {b['architecture']} x{b['num_threads']}" for b in found["blas"]
    )
    lines = [
        f"hmrtk     {found['hmrtk']}, Python {found['python']}, {found['cores']} cores",
        f"packages  {packages}",
        f"BLAS      {blas or 'none seen'}",
        f"GPUs      torch: {', '.join(devices['torch_cuda']) or 'none'}; FAISS searches on: {devices['faiss']}",
        f"body      {body.get('problem') or body['place'] + '  ' + body['fingerprint']}",
    ]
    if os.environ.get("OPENBLAS_CORETYPE"):
        lines.append(
            f"note      OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']} is set; it can halve numpy's speed"
        )
    return lines + [f"dataset   {name}: {state}" for name, state in found["datasets"].items()]
