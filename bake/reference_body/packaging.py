"""Stage 6: the packaged file, a comparison with another one, and the layouts that other SMPL tools read.

``reference_body.npz`` is what ``hmrtk.toolkit.body.reference`` loads. Bases are float16: their rounding moves a vertex
by less than 0.1 mm, and the file stays at 2 MB.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse as sp
from numpy.typing import NDArray

from .charts import ChartAtlas
from .mesh import Floats
from .model import BodyArrays
from .regressors import extra_joints, h36m_joints
from .smpl_format import GENDERS, JOINT_COUNT, PARENTS

Arrays = dict[str, NDArray[Any]]


def packaged_arrays(body: BodyArrays, posedirs: Floats, atlas: ChartAtlas) -> Arrays:
    """Every key of ``reference_body.npz``.

    ``jreg_*`` is one CSR matrix of 50 rows: SMPL's 24 joints, SPIN's 9 extra ones, Human3.6M's 17 in SPIN's order.
    """
    template = body.template_neutral
    rows = [body.regressor, extra_joints(body.regressor, template), h36m_joints(body.regressor, template)]
    regressor = sp.csr_matrix(np.concatenate(rows).astype(np.float32))
    assert np.allclose(regressor.sum(1), 1, atol=1e-5)
    assert np.allclose(body.weights.sum(1), 1, atol=1e-5)
    arrays: Arrays = {
        "faces": body.faces.astype(np.uint16),
        "weights": body.weights.astype(np.float32),
        "jreg_data": regressor.data,
        "jreg_indices": regressor.indices.astype(np.uint16),
        "jreg_indptr": regressor.indptr.astype(np.uint16),
        "posedirs": posedirs.astype(np.float16),
        "vt": body.uv.astype(np.float32),
        "ft": body.corners.astype(np.uint16),
        "part": atlas.chart.astype(np.uint8),
        "dp_vertices": atlas.vertices.astype(np.uint16),
        "dp_uv": atlas.uv.astype(np.float32),
        "dp_faces": atlas.faces.astype(np.uint16),
        "mirror": body.mirror.astype(np.uint16),
        "parents": PARENTS.astype(np.int8),
    }
    for gender in GENDERS:
        arrays[f"v_template_{gender}"] = getattr(body, f"template_{gender}").astype(np.float32)
        arrays[f"shapedirs_{gender}"] = getattr(body, f"shapes_{gender}").astype(np.float16)
    return arrays


def difference(ours: NDArray[Any], theirs: NDArray[Any]) -> str:
    """One line on how two arrays differ."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} against {theirs.shape}"
    if np.array_equal(ours, theirs):
        return "equal"
    gap = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    return f"largest difference {gap.max():.3g} in {np.count_nonzero(gap)} of {gap.size} values"


def compare(ours: Path, theirs: Path) -> None:
    """Print, key by key, how two npz files differ."""
    with np.load(ours, allow_pickle=False) as a, np.load(theirs, allow_pickle=False) as b:
        for key in sorted({*a.files, *b.files}):
            both = key in a.files and key in b.files
            print(f"  {key:20s} {difference(a[key], b[key]) if both else 'only in one of the two'}")


def official_arrays(body: BodyArrays, posedirs: Floats, gender: str) -> dict[str, Any]:
    """One gender with the keys of SMPL's own model files."""
    template = getattr(body, f"template_{gender}")
    return {
        "v_template": template.astype(np.float32),
        "shapedirs": getattr(body, f"shapes_{gender}").astype(np.float32),
        "posedirs": posedirs.astype(np.float32),
        "weights": body.weights.astype(np.float32),
        "J_regressor": body.regressor.astype(np.float32),
        "J": (body.regressor @ template).astype(np.float32),
        "f": body.faces.astype(np.uint32),
        "kintree_table": np.stack([PARENTS, np.arange(JOINT_COUNT)]).astype(np.int64),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write_official_layouts(body: BodyArrays, posedirs: Floats, atlas: ChartAtlas, folder: Path) -> None:
    """``SMPL_{NEUTRAL,MALE,FEMALE}.{npz,pkl}`` and DensePose's ``UV_Processed.mat``, for trying out other tools.

    The pickles hold plain arrays and one SciPy matrix, as SMPL v1.1.0 does without its chumpy objects.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for gender in GENDERS:
        arrays = official_arrays(body, posedirs, gender)
        np.savez_compressed(folder / f"SMPL_{gender.upper()}.npz", **arrays)
        arrays["J_regressor"] = sp.csc_matrix(arrays["J_regressor"])
        with (folder / f"SMPL_{gender.upper()}.pkl").open("wb") as stream:
            pickle.dump(arrays, stream, protocol=2)
    one_based = {
        "All_vertices": (atlas.vertices + 1)[None].astype(np.uint16),
        "All_Faces": (atlas.faces + 1).astype(np.uint16),
        "All_FaceIndices": atlas.chart[:, None].astype(np.uint8),
        "All_U_norm": atlas.uv[:, :1].astype(np.float64),
        "All_V_norm": atlas.uv[:, 1:].astype(np.float64),
    }
    scipy.io.savemat(folder / "UV_Processed.mat", one_based, do_compression=True)
