"""Stage 2: from MakeHuman's 13 718 vertices to SMPL's counts: close the head, triangulate, decimate one half.

In: ``SourceBody`` and ``SampledShapes``. Out: ``Topology``: the left half's triangles as indices into MakeHuman's
vertices, and the linear map that closes eyes and mouth. ``model`` adds the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .anny_source import SampledShapes, SourceBody
from .caps import CapMap
from .decimation import HalfMesh, decimate
from .edge_flips import flip_edges
from .mesh import Bools, Floats, Ints, face_islands
from .rig import Rig
from .smpl_format import VERTEX_COUNT
from .tpose import tpose_rotations

ON_PLANE = 1e-6  # |x| in metres below which a vertex lies on the mirror plane

# MakeHuman's texture islands, told apart by their number of quads (eyes, hands and feet come in pairs).
ISLAND_QUADS = {"head": 3116, "mouth": 398, "body": 3906, "eye": 293, "hand": 1598, "foot": 1072}
EYEBALL_QUADS = 35  # the transparent front of the eyeball; not skin

# Vertices of the whole body per region. The body gets more than its share of MakeHuman's, the face less: SMPL poses
# limbs, not expressions. The head takes what is left.
QUOTA = {"body": 3300, "hand": 1380, "foot": 830, "eye": 44, "mouth": 14}
QUOTA["head"] = VERTEX_COUNT - sum(QUOTA.values())

# Shapes besides the mean on which a collapse is judged: two men and two women, the third leanest and third heaviest.
WITNESSES = (0, 1, 5, 8)
WITNESS_BMI_RANKS = (3, -3)


@dataclass(frozen=True)
class Topology:
    """The decimated left half."""

    cap_data: Floats  # CSR of the (n, n) map that closes eyes and mouth
    cap_indices: Ints
    cap_indptr: Ints
    faces: Ints  # (6888, 3) into MakeHuman's vertices, x >= 0
    corners: Ints  # (6888, 3) into MakeHuman's texture coordinates
    region: NDArray[np.str_]  # (n,)

    @property
    def cap_map(self) -> sp.csr_matrix:
        count = len(self.region)
        return sp.csr_matrix((self.cap_data, self.cap_indices, self.cap_indptr), shape=(count, count))


def witness_bodies(rig: Rig, shapes: SampledShapes) -> Floats:
    """(7, n, 3) T-posed bodies: the mean shape first."""
    ranked = np.argsort(shapes.body_mass_index)
    chosen = [*WITNESSES, *(int(ranked[rank]) for rank in WITNESS_BMI_RANKS)]
    vertices = [shapes.vertices.astype(np.float64).mean(0), *shapes.vertices[chosen].astype(np.float64)]
    heads = [shapes.bone_heads.mean(0), *shapes.bone_heads[chosen]]
    tails = [shapes.bone_tails.mean(0), *shapes.bone_tails[chosen]]
    return np.stack(
        [rig.skin(v, tpose_rotations(rig, h, t), h) for v, h, t in zip(vertices, heads, tails, strict=True)]
    )


def name_islands(source: SourceBody) -> tuple[Ints, dict[str, Ints], Ints]:
    """Island of each quad (m,), the islands of each region, and the quads of both eyeballs."""
    island = face_islands(source.uv_quads, len(source.uv))
    sizes = np.bincount(island)
    regions = {name: np.flatnonzero(sizes == count) for name, count in ISLAND_QUADS.items()}
    expected = {"head": 1, "mouth": 1, "body": 1, "eye": 2, "hand": 2, "foot": 2}
    assert {name: len(found) for name, found in regions.items()} == expected, "not MakeHuman's base mesh"
    return island, regions, source.quads[np.isin(island, np.flatnonzero(sizes == EYEBALL_QUADS))]


def split_quads(points: Floats, quads: Ints, corners: Ints) -> tuple[Ints, Ints]:
    """Cut each quad along its shorter diagonal; triangles (2m, 3) and their texture corners."""
    first = np.linalg.norm(points[quads[:, 0]] - points[quads[:, 2]], axis=1)
    second = np.linalg.norm(points[quads[:, 1]] - points[quads[:, 3]], axis=1)
    along_first = first <= second

    def cut(index: Ints) -> Ints:
        a, b = index[along_first], index[~along_first]
        return np.concatenate([a[:, [0, 1, 2]], a[:, [0, 2, 3]], b[:, [0, 1, 3]], b[:, [1, 2, 3]]])

    return cut(quads), cut(corners)


def build_topology(source: SourceBody, shapes: SampledShapes) -> Topology:
    """Close, triangulate and decimate."""
    bodies = witness_bodies(Rig(source), shapes)
    island, regions, eyeballs = name_islands(source)
    skin = np.concatenate(list(regions.values()))
    count = len(source.vertices)

    caps = CapMap(source.quads, island, skin, count)
    mouth = caps.close_mouth(int(regions["mouth"][0]))
    eyes = np.concatenate([caps.close_eye(int(i), eyeballs, bodies[0]) for i in regions["eye"]])
    matrix = caps.matrix.tocsr()
    bodies = np.stack([matrix @ body for body in bodies])

    region = np.full(count, "none", dtype="U6")
    for name in ("body", "foot", "hand", "head"):  # a shared border belongs to the later, finer region
        region[np.unique(source.quads[np.isin(island, regions[name])])] = name
    region[eyes], region[mouth] = "eye", "mouth"

    left: Bools = np.isin(island, skin) & (bodies[0][source.quads][:, :, 0] > -1e-7).all(1)
    faces, corners = split_quads(bodies[0], source.quads[left], source.uv_quads[left])
    on_plane = np.abs(source.vertices[:, 0]) < ON_PLANE
    fixed = np.zeros(count, bool)
    fixed[caps.rim] = True
    copies = np.where(on_plane, 1.0, 2.0)
    half = HalfMesh(bodies, faces, corners, source.uv, on_plane, fixed, region, copies)
    faces, corners = flip_edges(bodies[0], *decimate(half, QUOTA), source.uv)
    total = copies[np.unique(faces)].sum()
    assert total == VERTEX_COUNT, f"decimation stopped at {total} vertices"
    return Topology(matrix.data, matrix.indices, matrix.indptr, faces, corners, region)
