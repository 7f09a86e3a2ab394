"""The import ranks of the design: a module imports lower ranks only, and each heavy library has one door.

The checks work on source text, so they also see imports inside functions.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = ("toolkit", "models", "cli", "datasets_manifest", "reports")

RANKS = {
    "toolkit.errors": 0,
    "toolkit.progress": 0,
    "toolkit.wording": 0,
    "datasets_manifest": 0,
    "toolkit.engine": 1,
    "toolkit.geometry": 2,
    "toolkit.body": 3,
    "toolkit.records": 4,
    "toolkit.sources": 5,
    "toolkit.maps": 5,
    "toolkit.prototypes": 5,
    "toolkit.synthesis": 6,
    "toolkit.evaluation": 6,
    "toolkit.shards": 7,
    "toolkit.pipeline": 8,
    "toolkit.dataset_check": 8,
    "toolkit.dataset_download": 8,
    "models": 9,
    "reports": 10,
    "cli": 11,
}

MODELS_MAY_USE = (
    "toolkit.errors",
    "toolkit.progress",
    "toolkit.geometry",
    "toolkit.body",
    "toolkit.maps.atlas",
    "toolkit.maps.location",
    "toolkit.maps.warp",
    "toolkit.prototypes.prototype_set",
    "toolkit.records.artefact",
    "toolkit.records.folder_lock",
    "toolkit.records.remote",
    "toolkit.shards.batches",
    "toolkit.shards.cropper",
    "toolkit.shards.mixture",
    "toolkit.shards.reader",
    "toolkit.shards.shard_map",
    "toolkit.evaluation",
    "models",
)

DOORS = {
    "faiss": ("toolkit.prototypes.search",),
    "matplotlib": ("reports.figures",),
    "click": ("cli",),
    "smplx": ("toolkit.body.layer",),
    "torch": (
        "toolkit.body.layer",
        "toolkit.body.torch_posing",
        "toolkit.evaluation.importers.gvhmr_pt",
        "toolkit.evaluation.torch_metrics",
        "toolkit.prototypes.brute",
        "toolkit.shards.batches",
        "toolkit.shards.mixture",
        "toolkit.shards.reader",
        "toolkit.shards.shard_map",
        "toolkit.shards.streams",
        "toolkit.shards.tensors",
        "models",
        "cli.doctor",
    ),
    "lightning": ("models.train",),
    "pycocotools": ("toolkit.evaluation.coco_ap",),
    "timm": ("models.backbone",),
    "torchmetrics": ("models.metrics",),
    "sklearn": ("reports.embedding", "toolkit.prototypes.estimator", "toolkit.prototypes.sweep"),
    "ray": ("toolkit.engine.cluster",),
    "cdflib": ("toolkit.sources.cdf",),
    "h5py": ("toolkit.sources.matlab",),
}


def module_name(path: Path) -> str:
    """``toolkit/body/model.py`` → ``toolkit.body.model`` (the name below ``hmrtk``)."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, is_package: bool) -> list[str]:
    """Every module that ``source`` imports, relative imports resolved."""
    found = []
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["hmrtk", *package[: len(package) - node.level + 1]] if node.level else []
            target = ".".join([*base, *(node.module.split(".") if node.module else [])])
            found += [target, *(f"{target}.{alias.name}" for alias in node.names)]
    return found


def unit(name: str) -> str | None:
    """The ranked unit a module below ``hmrtk`` belongs to."""
    fits = [u for u in RANKS if name == u or name.startswith(u + ".")]
    return max(fits, key=len) if fits else None


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of ``module`` that the ranks or the doors forbid, in words."""
    here, found = unit(module), []
    for name in imports(source, module, is_package):
        top = name.split(".")[0]
        if top in TOP:
            found.append(f"{module} imports the bare name {name}")
        doors = DOORS.get(top)
        if doors and not any(module == d or module.startswith(d + ".") for d in doors):
            found.append(f"{module} imports {top}, whose door is {' or '.join(doors)}")
        target = unit(name.removeprefix("hmrtk.")) if top == "hmrtk" else None
        if here is None or target is None or target == here:
            continue
        if RANKS[target] >= RANKS[here]:
            found.append(f"{module} ({here}) imports {name} ({target}), which does not rank below it")
        if here == "models" and not _allowed_to_models(name.removeprefix("hmrtk.")):
            found.append(f"{module} imports {name}, which the model layer may not use")
        if here != "cli" and target.startswith("datasets_manifest") and here != "toolkit.records":
            found.append(f"{module} imports {name}; manifests are read through records.manifest")
    return sorted(set(found))


def _allowed_to_models(name: str) -> bool:
    return any(name == m or name.startswith(m + ".") or m.startswith(name + ".") for m in MODELS_MAY_USE)


def sources() -> list[Path]:
    return [p for top in TOP for p in sorted((ROOT / top).rglob("*.py"))]


def test_every_module_has_a_rank() -> None:
    unranked = [module_name(p) for p in sources() if unit(module_name(p)) is None and module_name(p) != "toolkit"]
    assert not unranked


@pytest.mark.parametrize("path", sources(), ids=lambda p: module_name(p))
def test_imports_respect_ranks_and_doors(path: Path) -> None:
    assert violations(path.read_text(), module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("toolkit.geometry.rotation", "from hmrtk.toolkit.body.model import BodyModel"),
        ("toolkit.maps.iuv", "from hmrtk.toolkit.prototypes.kmeans import fit_prototypes"),
        ("toolkit.maps.iuv", "def f():\n    import hmrtk.toolkit.sources.bvh"),
        ("toolkit.body.model", "from ..records import table"),
        ("toolkit.shards.builder", "import faiss"),
        ("reports.tables", "from matplotlib import pyplot"),
        ("toolkit.pipeline", "import click"),
        ("models.data", "from hmrtk.toolkit.maps.raster import rasterize"),
        ("toolkit.body.model", "import torch"),
        ("cli.data", "from toolkit.body import model"),
    ],
)
def test_the_check_can_fail(module: str, source: str) -> None:
    assert violations(source, module)


def test_allowed_imports_pass() -> None:
    source = "from hmrtk.toolkit.body.model import BodyModel\nfrom .atlas import Atlas\nimport numpy as np"
    assert violations(source, "toolkit.maps.iuv") == []
