"""Options that name ground truth of the picture's plane, for ``evaluate`` and ``tail-report``."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.options import PATH, PLACE, stack

if TYPE_CHECKING:
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.evaluation.picture_plane import PlaneTruth
    from hmrtk.toolkit.records.remote import Place


@dataclass(frozen=True)
class PictureTruth:
    """The values of the options."""

    coco: Place | None
    masks: Path | None
    spin_parts: Path | None
    dense: Place | None
    atlas: str

    @property
    def named(self) -> bool:
        """Whether any is named."""
        return any(value is not None for value in (self.coco, self.masks, self.dense))

    def load(self, body: BodyModel) -> PlaneTruth:
        """With the charts that ``--dense`` names points of."""
        from hmrtk.toolkit.evaluation.picture_plane import PlaneTruth
        from hmrtk.toolkit.maps.atlas_choice import chosen_atlas

        atlas = None if self.dense is None else chosen_atlas(self.atlas, body)
        return PlaneTruth(self.coco, self.masks, self.spin_parts, self.dense, atlas)


def names_picture_truth(function: Any) -> Any:
    """The options of ``PictureTruth``, handed over as one ``pictures``."""

    @functools.wraps(function)
    def call(*arguments: Any, **values: Any) -> Any:
        pictures = PictureTruth(**{field.name: values.pop(field.name) for field in fields(PictureTruth)})
        return function(*arguments, pictures=pictures, **values)

    return stack(
        click.option("--coco", type=PLACE, metavar="FILE", help="COCO's person_keypoints_*.json: keypoint AP by OKS."),
        click.option(
            "--masks", type=PATH, metavar="DIR", help="Masks of LSP (UPi-S1h): foreground and part segmentation."
        ),
        click.option(
            "--spin-parts", type=PATH, metavar="DIR", help="SPIN's vertex_texture.npy and cube_parts.npy for --masks."
        ),
        click.option("--dense", type=PLACE, metavar="FILE", help="Side table of marked surface points: AUC to 10 cm."),
        click.option(
            "--atlas", default="charts", show_default=True, help="Charts of --dense: the body's, or UV_Processed.mat."
        ),
    )(call)
