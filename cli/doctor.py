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
    "timm",
    "lightning",
    "torchmetrics",
    "pycocotools",
    "tensorboard",
    "matplotlib",
)
GPU_ROOT = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver lists the GPUs."""


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
    """GPUs of this machine, and what torch and FAISS make of them."""
    import torch

    from hmrtk.toolkit.prototypes.search import version

    seen = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    found = [{"name": gpu.name, "memory_gib": round(gpu.total_memory / 2**30, 1)} for gpu in seen]
    faiss = version()
    return {
        "gpus": found or [{"name": name, "memory_gib": None} for name in _gpus_of_the_driver()],
        "torch": {"version": torch.__version__, "cuda": torch.version.cuda, "gpus": len(seen)},
        "faiss": {"version": faiss["faiss"], "gpu_support": faiss["gpu_support"], "gpus": faiss["gpus"]},
    }


def _gpus_of_the_driver(root: Path = GPU_ROOT) -> list[str]:
    """Names of the GPUs that NVIDIA's driver knows of, whatever torch can use (Linux)."""
    lines = [line for path in sorted(root.glob("*/information")) for line in path.read_text().splitlines()]
    return [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]


def _gpu_lines(devices: dict[str, Any]) -> list[str]:
    """The devices in words; where something stands in the way, what to do about it."""
    gpus, torch, faiss = devices["gpus"], devices["torch"], devices["faiss"]
    if not gpus:
        return ["GPUs      none; bodies are posed and compared on the CPU"]
    lines = []
    for gpu in gpus:
        lines.append(f"GPU       {gpu['name']}" + (f", {gpu['memory_gib']} GiB" if gpu["memory_gib"] else ""))
    if torch["gpus"]:
        lines.append(f"          torch {torch['version']} can use {_of(torch['gpus'], gpus)}")
    elif not torch["cuda"]:
        lines.append(
            f"          torch {torch['version']} was built without CUDA: install a CUDA build from pytorch.org"
        )
    else:
        lines.append(
            f"          torch {torch['version']} cannot use it: is the driver new enough for CUDA {torch['cuda']}?"
        )
    if faiss["gpus"]:
        lines.append(f"          FAISS {faiss['version']} can search on {_of(faiss['gpus'], gpus)}")
    elif not faiss["gpu_support"]:
        remedy = "pip uninstall faiss-cpu, then pip install --force-reinstall faiss-gpu (Linux on x86-64)"
        lines.append(f"          FAISS {faiss['version']} is the CPU wheel, so K-Means searches on the CPU: {remedy}")
    else:
        lines.append(
            f"          FAISS {faiss['version']} was built for GPUs but sees none: check the driver (nvidia-smi)"
        )
    return lines


def _of(count: int, gpus: list[Any]) -> str:
    return "it" if len(gpus) == 1 else f"{count} of {len(gpus)}"


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
        *_gpu_lines(devices),
        f"body      {body.get('problem') or body['place'] + '  ' + body['fingerprint']}",
    ]
    if os.environ.get("OPENBLAS_CORETYPE"):
        lines.append(
            f"note      OPENBLAS_CORETYPE={os.environ['OPENBLAS_CORETYPE']} is set; it can halve numpy's speed"
        )
    return lines + [f"dataset   {name}: {state}" for name, state in found["datasets"].items()]
