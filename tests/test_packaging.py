"""What is on disk, what ``setup.cfg`` lists and what is installed are the same packages."""

from __future__ import annotations

import configparser
import importlib.metadata
import importlib.resources
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOP = ("toolkit", "models", "cli", "datasets_manifest", "reports")


def listed_packages() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return set(config["options"]["packages"].split())


def packages_on_disk() -> set[str]:
    folders = [p.parent for top in TOP for p in (ROOT / top).rglob("__init__.py")]
    return {"hmrtk." + ".".join(f.relative_to(ROOT).parts) for f in folders}


def test_setup_cfg_lists_every_package() -> None:
    assert listed_packages() == packages_on_disk()


def test_every_folder_of_modules_is_a_package() -> None:
    holding = {p.parent for top in TOP for p in (ROOT / top).rglob("*.py")}
    assert [f for f in holding if not (f / "__init__.py").is_file()] == []


def test_hmrtk_is_a_namespace_and_bare_names_are_not_installed() -> None:
    installed = next(iter(importlib.metadata.distributions(name="hmrtk", path=[sysconfig.get_paths()["purelib"]])))
    files = installed.files or []
    tops = {f.parts[0] for f in files if f.suffix == ".py" and not f.parts[0].startswith("__editable__")}
    assert tops <= {"hmrtk"}
    assert not [f for f in files if f.parts == ("hmrtk", "__init__.py")]


def test_data_files_are_installed() -> None:
    toolkit = importlib.resources.files("hmrtk.toolkit")
    assert (toolkit / "py.typed").is_file()
    assert (toolkit / "body" / "data" / "reference_body.npz").is_file()
    assert (toolkit / "sources" / "data" / "embedded_train.parquet").is_file()
    assert any(p.name.endswith(".jpg") for p in (toolkit / "synthesis" / "data").iterdir())
    assert any(p.name.endswith(".toml") for p in importlib.resources.files("hmrtk.datasets_manifest").iterdir())
    assert any(p.name.endswith(".html") for p in (importlib.resources.files("hmrtk.reports") / "templates").iterdir())


def test_documented_requirements_are_installed() -> None:
    requirements = importlib.metadata.requires("hmrtk") or []
    assert any(r.startswith("faiss-gpu") and "linux" in r for r in requirements)
    assert any(r.startswith("torch") for r in requirements)
