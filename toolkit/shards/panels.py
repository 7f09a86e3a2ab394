"""All maps of one person on one sheet, as the papers show them: what networks are trained on, to be looked at.

In: records and a body. Out: one picture per record with five panels: the IUV map and its channels (DaNet Fig. 2),
partial IUV maps (DaNet Fig. 4 b, c), dense maps in the image (Best of Both Fig. 3), the same warped into UV space as
far as the image shows the body (Fig. 4), and the full UV-space maps (Fig. 5). Called by ``show-maps``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.joints import joint_set
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.geometry.crop import warp_image
from hmrtk.toolkit.maps.assignment import OUTSIDE, assigned_joints, displacement_map, joint_map, part_assignment
from hmrtk.toolkit.maps.atlas import Atlas, atlas_for_body
from hmrtk.toolkit.maps.charts import CHART_COUNT
from hmrtk.toolkit.maps.iuv import render_iuv_projected
from hmrtk.toolkit.maps.location import UVSpace
from hmrtk.toolkit.maps.onepiece import onepiece_for_body
from hmrtk.toolkit.maps.partial import partial_iuv, simplified
from hmrtk.toolkit.maps.partial_rois import joint_rois
from hmrtk.toolkit.maps.preview import assignment_to_rgb, chart_colours, iuv_to_rgb, location_to_rgb, uv_to_rgb
from hmrtk.toolkit.maps.projection import Projection, project
from hmrtk.toolkit.maps.views import record_views
from hmrtk.toolkit.maps.warp import dense_maps, image_to_uv
from hmrtk.toolkit.records.crops import record_crops
from hmrtk.toolkit.records.record import BODY_COLUMNS
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.codec import decode_image
from hmrtk.toolkit.shards.iuv_sheet import overlaid
from hmrtk.toolkit.shards.pictures import PhotoReader, require_image_folder, row_generator, synthesised
from hmrtk.toolkit.synthesis.scene import SceneConfig
from hmrtk.toolkit.synthesis.sheet import contact_sheet, stacked_sheets

CROP_PX = 224
MAP_PX = 56
"""Side of the maps that partial ones are cut from (DaNet)."""
UV_PX = 128
CELL_PX = 200
JOINT_CELL_PX = 96
SURFACE_REACH_M, OFFSET_REACH_M = 1.0, 0.15
"""Metres that reach full colour: in location and joint maps, and in displacement maps."""

_PARTIAL_TITLE = "Partial IUV maps of the 24 joints, and the same with the joint's own charts only"
_WARPED_TITLE = "The same, warped into UV space: what the image shows"

Cell = tuple[NDArray[np.uint8], str]
"""A picture (H, W, 3) RGB and its caption."""
Cells = list[Cell]


def chosen_rows(records: RecordTable, samples: Sequence[str], count: int, seed: int) -> RecordTable:
    """The records to draw: those named, in that order, else ``count`` drawn by ``seed`` among those with a body.

    Raises:
        InputError: a ``sample_id`` that is not there, or no row has a body.
    """
    if samples:
        rows = {name: row for row, name in enumerate(records.sample_ids)}
        for name in samples:
            if name not in rows:
                near = ", ".join(difflib.get_close_matches(name, rows, cutoff=0.0))
                raise InputError(records.place, f"has no sample_id {name!r}", f"the nearest are {near}")
        return records.take([rows[name] for name in samples])
    have = np.flatnonzero(records.has(*BODY_COLUMNS))
    if not len(have):
        raise InputError(records.place, "no row has body parameters (global_orient, body_pose, betas)")
    drawn = np.random.default_rng(seed).choice(have, min(count, len(have)), replace=False)
    return records.take(np.sort(drawn))


class MapPanels:
    """Draws the maps of records.

    Args:
        body: the active body; its atlases are found as for shards.
        images: folder of the photographs; without one, pictures are synthesised.
        joint_set: joints of the part assignment, ``lsp14`` (the paper's) or ``smpl24``.
        seed: of synthesised pictures.

    Raises:
        InputError: no such image folder.
    """

    def __init__(self, body: BodyModel, images: Place | None = None, joint_set: str = "lsp14", seed: int = 0) -> None:
        require_image_folder(images)
        self.body, self.joint_set, self.seed = body, joint_set, seed
        self.photos = PhotoReader(images) if images is not None else None

    @cached_property
    def charts(self) -> Atlas:
        return atlas_for_body(self.body)

    @cached_property
    def space(self) -> UVSpace:
        return UVSpace(onepiece_for_body(self.body), UV_PX)

    @cached_property
    def assignment(self) -> NDArray[np.uint8]:
        return part_assignment(self.body, self.space, self.joint_set)

    def draw(self, records: RecordTable) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """One sheet per record with a body and a camera: its ``sample_id`` and (H, W, 3) uint8 RGB.

        Raises:
            InputError: a row without a box, a missing or damaged photograph, or no atlas for the body.
        """
        crops = record_crops(records, self.body)
        views = record_views(records, crops)
        windows = crops.crop_affine(CROP_PX)[views.rows]
        posed = self.body.pose(views.parameters)
        ids, paths = records.sample_ids, records.table["image_path"].to_pylist()
        for n, row in enumerate(views.rows):
            camera = views.seen(np.array([n]), windows[n])
            person = Body(posed.vertices[n : n + 1], posed.joints[n : n + 1])
            path = paths[row] if self.photos is not None else None
            if path is not None and self.photos is not None:
                photo = self.photos.photograph(path, f"{records.place} row {row}")
                picture = warp_image(photo, windows[n], CROP_PX)
            else:
                picture = self._synthesised(person, camera, ids[row])
            yield ids[row], self.sheet(picture, person, camera)

    def _synthesised(self, person: Body, camera: Projection, sample_id: str) -> NDArray[np.uint8]:
        vertices = (person.vertices[0] + camera.translation[0]).astype(np.float32)
        rng = row_generator(self.seed, sample_id)
        jpeg, _ = synthesised(vertices, camera.matrix[0], CROP_PX, self.body, rng, SceneConfig())
        return decode_image(jpeg, sample_id)

    def sheet(self, picture: NDArray[np.uint8], person: Body, camera: Projection) -> NDArray[np.uint8]:
        """The five panels.

        Args:
            picture: (224, 224, 3) the crop.
            person: one body.
            camera: its camera, metres → px of the crop.
        """
        iuv = render_iuv_projected(person.vertices, camera, self.charts, CROP_PX)[0]
        uv_maps = self._uv_maps(person)
        through = render_iuv_projected(person.vertices, camera, self.space.atlas, CROP_PX)
        panels = (
            ("IUV map", self._iuv_cells(picture, iuv), 6, CELL_PX),
            (_PARTIAL_TITLE, self._partial_cells(person, camera), 12, JOINT_CELL_PX),
            ("Maps in the image", self._image_cells(picture, through, uv_maps), 6, CELL_PX),
            (_WARPED_TITLE, self._warped_cells(picture, through, uv_maps), 6, CELL_PX),
            ("Full maps in UV space", self._full_cells(uv_maps), 6, CELL_PX),
        )
        sheets = [(title, cells_sheet(cells, columns, px)) for title, cells, columns, px in panels]
        return stacked_sheets(sheets)

    def _uv_maps(self, person: Body) -> dict[str, NDArray[np.float32]]:
        """UV_l, UV_j, UV_d of one body, each (1, 3, S, S)."""
        root = person.joints[:, 0]
        location = self.space.location(person.vertices, root)
        joint = joint_map(assigned_joints(self.body, person, self.joint_set), root, self.assignment)
        return {"l": location, "j": joint, "d": displacement_map(location, joint, self.assignment)}

    def _iuv_cells(self, picture: NDArray[np.uint8], iuv: NDArray[np.uint8]) -> Cells:
        index = chart_colours()[np.minimum(iuv[0], CHART_COUNT)]
        ramps = [np.repeat(plane[..., None], 3, axis=2) for plane in iuv[1:]]
        return [
            (picture, "picture"), (overlaid(picture, iuv), "IUV map over it"), (iuv_to_rgb(iuv), "IUV map"),
            (index, "Index"), (ramps[0], "U"), (ramps[1], "V"),
        ]  # fmt: skip

    def _partial_cells(self, person: Body, camera: Projection) -> Cells:
        small = Projection(camera.matrix * (MAP_PX / CROP_PX), camera.translation)
        iuv = render_iuv_projected(person.vertices, small, self.charts, MAP_PX)
        joints = project(person.joints, small)[..., :2]
        partial = partial_iuv(iuv, joint_rois(joints, iuv))
        plain, own = (iuv_to_rgb(maps[0]) for maps in (partial, simplified(partial)))
        names = joint_set("smpl24").joints
        rows: Cells = []
        for first in (0, 12):
            rows += [(plain[k], names[k].replace("_", " ")) for k in range(first, first + 12)]
            rows += [(own[k], "its charts") for k in range(first, first + 12)]
        return rows

    def _image_cells(
        self, picture: NDArray[np.uint8], iuv: NDArray[np.uint8], uv: dict[str, NDArray[np.float32]]
    ) -> Cells:
        dense, seen = dense_maps(uv["l"], uv["j"], iuv, self.space), iuv[0, 0] > 0
        metres = _metres(dense.joint, dense.location, dense.displacement, seen, "M")
        return [(picture, "picture"), (uv_to_rgb(iuv[0]), "M_i: IUV, one piece"), *metres]

    def _warped_cells(
        self, picture: NDArray[np.uint8], iuv: NDArray[np.uint8], uv: dict[str, NDArray[np.float32]]
    ) -> Cells:
        dense = dense_maps(uv["l"], uv["j"], iuv, self.space)
        values = np.concatenate([*dense, picture.transpose(2, 0, 1)[None].astype(np.float32)], axis=1)
        warped, seen = image_to_uv(values, iuv, UV_PX)
        colours = np.round(warped[0, 9:].transpose(1, 2, 0)).astype(np.uint8)
        visible = assignment_to_rgb(np.where(seen[0], self.assignment, OUTSIDE).astype(np.uint8))
        metres = _metres(warped[:, 3:6], warped[:, :3], warped[:, 6:9], seen[0], "UV")
        return [(colours, "the picture"), (visible, "A_uv, visible"), *metres]

    def _full_cells(self, uv: dict[str, NDArray[np.float32]]) -> Cells:
        return [
            (assignment_to_rgb(self.assignment), f"A_uv, {self.joint_set}"),
            *_metres(uv["j"], uv["l"], uv["d"], self.space.filled, "UV"),
        ]


def _metres(
    joint: NDArray[np.float32],
    location: NDArray[np.float32],
    displacement: NDArray[np.float32],
    mask: NDArray[np.bool_],
    space: str,
) -> Cells:
    """Joint, location and displacement maps (1, 3, S, S) in colour."""
    named = (
        (joint, "j: joint", SURFACE_REACH_M),
        (location, "l: location", SURFACE_REACH_M),
        (displacement, "d: displacement", OFFSET_REACH_M),
    )
    return [(location_to_rgb(maps[0], mask, reach), f"{space}_{name}") for maps, name, reach in named]


def cells_sheet(cells: Sequence[Cell], columns: int, px: int) -> NDArray[np.uint8]:
    """Cells brought to one size, with their captions."""
    way = {True: cv2.INTER_AREA, False: cv2.INTER_NEAREST}
    pictures = [
        np.asarray(cv2.resize(picture, (px, px), interpolation=way[len(picture) > px]), np.uint8)
        for picture, _ in cells
    ]
    return contact_sheet(pictures, columns, [caption for _, caption in cells], gap=6, caption_px=12)
