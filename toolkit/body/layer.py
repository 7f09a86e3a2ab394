"""The differentiable twin of ``BodyModel``: ``smplx.SMPL`` built from the same arrays. The one door to smplx.

smplx's code is under a non-commercial licence (see README); nothing else in hmrtk imports it. Networks call this.
"""

from __future__ import annotations

import numpy as np
import smplx
from smplx.utils import Struct

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT


class BodyLayer(smplx.SMPL):
    """``smplx.SMPL`` that knows it has 10 shape coefficients (else smplx 0.1.28 prints a warning about it)."""

    SHAPE_SPACE_DIM = BETA_COUNT


def body_layer(model: BodyModel, batch_size: int = 1) -> smplx.SMPL:
    """``smplx.SMPL`` with this body's arrays, handed over through ``data_struct`` (smplx reads only ``.pkl`` paths).

    Args:
        model: the body.
        batch_size: of the module's default (zero) parameters, used for arguments that ``forward`` is not given.

    Returns:
        A module in which nothing is learned: all parameters have ``requires_grad`` off, gradients flow to the inputs.
        Its ``joints`` are smplx's 45 (24 SMPL joints, then 21 vertices).
    """
    layer = BodyLayer("", data_struct=_data_struct(model), batch_size=batch_size, gender=model.gender)
    return layer.requires_grad_(False)


def _data_struct(model: BodyModel) -> Struct:
    return Struct(
        v_template=np.array(model.v_template),
        shapedirs=np.array(model.shapedirs),
        posedirs=np.array(model.posedirs),
        weights=np.array(model.weights),
        J_regressor=model.joint_regressor.toarray(),
        f=np.array(model.faces),
        kintree_table=np.stack([np.array(model.parents, np.int64), np.arange(24)]),
    )
