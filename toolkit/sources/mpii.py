"""MPII Human Pose: the MATLAB file that its owners publish, or the json files made of it (HRNet's, MMPose's).

In: a folder with ``mpii_human_pose_v1_u12_1.mat`` or ``annot/{train,valid}.json``, or one such file; out: one row per
annotated person. Traps, and what is done about them:

- **Structs vary**: a picture without people has an empty ``annorect`` or one without fields; a person may lack
  ``scale``, ``objpos`` or ``annopoints``; ``is_visible`` is a number, a text, empty or absent. People without joints,
  scale or place are left out, and so are the test pictures, whose joints were never published. Joints may come in any
  order; each has an ``id``. One that is not listed is not known.
- A **hidden** joint (``is_visible`` 0) is marked all the same. In the json files one that is not known lies at (-1, -1)
  or (0, 0), with ``joints_vis`` 0.
- ``scale`` is the **person's height / 200 px**, and ``objpos`` the middle of the body. Everybody shifts the centre down
  by 15 · scale px and enlarges the scale by 1.25, so that the feet stay in (HRNet's ``mpii.py``; the ``train.h5`` that
  SPIN uses has it done). The box is such that, expanded by 1.2, it is that square: it is not tight.
- Pixels are **counted from 1** (MATLAB; HRNet's ``mpii.py`` takes 1 off). Here, half a pixel is taken off, which gives
  coordinates in which the image's corner is (0, 0); so it is from SPIN's, EFT's, CLIFF's and 4D-Humans' files of MPII.
- ``complete``: SPIN keeps only people with all 16 joints; CLIFF's labels have the others as well.
- The hips and the neck are MPII's; "thorax" and "pelvis" are ``thorax_mpii`` and ``pelvis_mpii`` of ``spin24``.

The files name no body, camera or picture size; those columns are null.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.artefact import read_json
from hmrtk.toolkit.records.mat_file import read_variables
from hmrtk.toolkit.sources.annotation import MPII16_SLOTS, PIXEL_OFFSETS, in_spin24, square_boxes
from hmrtk.toolkit.sources.annotation_files import AnnotationFiles, SplitFile
from hmrtk.toolkit.sources.picture_table import ANNOTATED, not_complete

MAT = "mpii_human_pose_v1_u12_1.mat"
JSON = {"train": "train.json", "val": "valid.json"}
SHIFT, ENLARGEMENT = 15.0, 1.25
"""px per unit of scale by which the centre goes down; factor of the scale (HRNet's ``mpii.py``)."""
FROM_ONE = PIXEL_OFFSETS["mpii"]
"""px, from MATLAB's pixel numbers to coordinates."""


@dataclass(frozen=True)
class Person:
    """One annotated person, in the file's own numbers.

    Attributes:
        image: name of the picture.
        number: of the person in the picture, from 0.
        center: (2,) px. scale: height / 200 px.
        joints: (16, 3) px and 1 where known; MPII's order.
    """

    image: str
    number: int
    center: NDArray[np.float64]
    scale: float
    joints: NDArray[np.float64]


@dataclass(frozen=True)
class MpiiSource(AnnotationFiles):
    """``Source`` of MPII; ``sample_id`` is ``mpii/<split>/<picture>/<person in the picture>``.

    Attributes:
        complete: only people with all 16 joints.
    """

    dataset = "mpii"
    regressor = ANNOTATED

    complete: bool = False

    def files(self, root: Path) -> dict[str, list[Path]]:
        """The json files when one is there (they have the usual validation split), else the MATLAB file."""
        return {split: [path] for split, path in mpii_files(root).items()}

    def columns(self, part: SplitFile, body: BodyModel, limit: int | None) -> dict[str, Any]:
        """People in the file's order."""
        path = part.path
        every = mat_people(path) if path.suffix == ".mat" else json_people(path)
        kept = (person for person in every if person.joints[:, 2].all() or not self.complete)
        people = list(itertools.islice(kept, limit))
        if not people:
            raise InputError(path, "has no person with joints, a scale and a place")
        return columns_of(people, part.split)


def mpii_files(root: Path) -> dict[str, Path]:
    """Split → file: the json files when one is there, else the MATLAB file, which is for training."""
    if root.is_file():
        return {next((split for split in ("val", "test") if split in root.stem), "train"): root}
    places = [(split, folder / name) for split, name in JSON.items() for folder in (root, root / "annot")]
    found = {split: path for split, path in places if path.is_file()}
    if found:
        return found
    mat = next((path for path in (root / MAT, root / "annot" / MAT) if path.is_file()), None)
    if mat is None:
        raise not_complete(root, f"{MAT} or annot/train.json", "mpii")
    return {"train": mat}


def columns_of(people: list[Person], split: str) -> dict[str, Any]:
    """Columns of the record table."""
    scale = np.array([person.scale for person in people])
    center = np.array([person.center for person in people]) + FROM_ONE
    center[:, 1] += SHIFT * scale
    joints = np.array([person.joints for person in people])
    joints[..., :2] = np.where(joints[..., 2:] > 0, joints[..., :2] + FROM_ONE, 0)
    return {
        "sample_id": [f"mpii/{split}/{Path(person.image).stem}/{person.number}" for person in people],
        "image_path": [f"images/{person.image}" for person in people],
        "bbox_xyxy": square_boxes(center, scale * ENLARGEMENT),
        "keypoints2d": in_spin24(joints, MPII16_SLOTS),
    }


def json_people(path: Path) -> Iterator[Person]:
    """People of a json file: a list of ``image``, ``center``, ``scale``, ``joints`` (16, 2), ``joints_vis`` (16)."""
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise InputError(path, "is not a list of people", "expected MPII's train.json or valid.json")
    counts: dict[str, int] = {}
    for row, item in enumerate(content):
        place = f"{path} row {row}"
        missing = [k for k in ("image", "center", "scale", "joints", "joints_vis") if k not in item]
        if missing:
            raise InputError(place, f"has no {', '.join(missing)}")
        image = str(item["image"])
        number = counts[image] = counts.get(image, -1) + 1
        points = _numbers(item["joints"], (16, 2), "joints", place)
        visible = _numbers(item["joints_vis"], (16,), "joints_vis", place)
        known = (visible > 0) | (points > 0).all(axis=1)
        yield checked(image, number, item["center"], item["scale"], np.column_stack([points, known]), place)


def mat_people(path: Path) -> Iterator[Person]:
    """People of the training pictures in the MATLAB file."""
    release = read_variables(path, ["RELEASE"])["RELEASE"].ravel()
    fields = release.dtype.names or ()
    if len(release) != 1 or not {"annolist", "img_train"} <= set(fields):
        raise InputError(path, "RELEASE has no annolist and img_train", f"expected {MAT}")
    pictures = release[0]["annolist"].ravel()
    training = np.asarray(release[0]["img_train"]).ravel()
    if len(training) != len(pictures):
        raise InputError(path, f"img_train has {len(training)} values for {len(pictures)} pictures")
    for row in np.flatnonzero(training):
        image = _text(_only(_only(pictures[row], "image"), "name"))
        if not image:
            raise InputError(f"{path} picture {row}", "has no image.name")
        for number, person in enumerate(_field(pictures[row], "annorect")):
            center, scale = _only(person, "objpos"), _scalar(_only(person, "scale"))
            points = _field(_only(person, "annopoints"), "point")
            if center is None or scale is None or not len(points):
                continue
            place = f"{path} picture {row} ({image}) person {number}"
            where = [_scalar(_only(center, axis)) for axis in "xy"]
            yield checked(image, number, where, scale, _joints(points, place), place)


def checked(image: str, number: int, center: Any, scale: Any, joints: NDArray[np.float64], place: str) -> Person:
    """A person whose numbers can be used.

    Raises:
        InputError: NaN, or a scale that is not positive.
    """
    middle = _numbers(center, (2,), "center", place)
    height = float(_numbers(scale, (), "scale", place))
    if not height > 0:
        raise InputError(place, f"scale is {height}, expected a positive number")
    joints[joints[:, 2] == 0] = 0
    if not np.isfinite(joints).all():
        raise InputError(place, "joints has NaN or infinite values")
    return Person(image, number, middle, height, joints)


def _joints(points: Any, place: str) -> NDArray[np.float64]:
    """Structs with id, x, y → (16, 3) px and whether the joint is listed."""
    joints = np.zeros((16, 3))
    for point in points:
        joint, x, y = (_scalar(_only(point, name)) for name in ("id", "x", "y"))
        if joint is None or joint not in range(16) or x is None or y is None:
            raise InputError(place, f"has a joint with id {joint}, x {x}, y {y}, expected an id of 0 to 15 and numbers")
        joints[int(joint)] = x, y, 1
    return joints


def _numbers(value: Any, shape: tuple[int, ...], name: str, place: str) -> NDArray[np.float64]:
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        raise InputError(place, f"{name} is not numbers") from None
    if array.shape != shape:
        raise InputError(place, f"{name} has shape {array.shape}, expected {shape}")
    if name != "joints" and not np.isfinite(array).all():
        raise InputError(place, f"{name} has NaN or infinite values")
    return array


def _field(struct: Any, name: str) -> NDArray[Any]:
    """The entries of a field of one struct; none where it lacks the field or the field is empty."""
    if not isinstance(struct, np.void) or name not in (struct.dtype.names or ()):
        return np.empty(0, object)
    value = np.asarray(struct[name])
    return value.ravel() if value.dtype.names or value.dtype.kind in "fiubUO" else np.empty(0, object)


def _only(struct: Any, name: str) -> Any:
    """The first entry of a field, or None."""
    entries = _field(struct, name)
    return entries[0] if len(entries) else None


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | np.str_) else ""


def _scalar(value: Any) -> float | None:
    """A number, also where MATLAB has it in a 1 × 1 array; None for anything else."""
    array = np.asarray(value)
    return float(array.ravel()[0]) if array.size == 1 and array.dtype.kind in "fiub" else None
