"""The npz files that SPIN and its descendants keep their annotation in: which is which, and how they differ.

Only tables. ``spin_npz`` and ``spin_fits`` ask here by dataset; the files are known by their names, since nothing in
them says what they are. Facts from SPIN ``datasets/preprocess`` and ``config.py``, DecoMR, PyMAF
``core/path_config.py`` and DaNet ``datasets/preprocess/dp_coco.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.records.crops import EXPANSION

H36M_EXPANSION = 0.9
"""SPIN's ``h36m.py`` shrinks the silhouette's box by this factor (DecoMR's and GraphCMR's copies keep it: 1.0)."""


@dataclass(frozen=True)
class Variant:
    """One kind of file.

    Attributes:
        split: of the records made from it.
        names: of such files.
        bodies: the records' ``body_source`` where the file has bodies.
        expansion: by which its makers enlarged the tight box.
    """

    split: str
    names: tuple[str, ...]
    bodies: str = "spin_fit"
    expansion: float = EXPANSION


VARIANTS: dict[str, tuple[Variant, ...]] = {
    "h36m": (
        Variant("test", ("h36m_valid_protocol1.npz",), "mosh", H36M_EXPANSION),
        Variant("test_p2", ("h36m_valid_protocol2.npz", "h36m_mosh_valid_p2.npz"), "mosh", H36M_EXPANSION),
        Variant(
            "train", ("h36m_mosh_train.npz", "h36m_train.npz", "h36m_single_train_openpose.npz"), "mosh", H36M_EXPANSION
        ),
    ),
    "3dpw": (
        Variant("test", ("3dpw_test.npz",), "imu"),
        Variant("train", ("3dpw_train.npz",), "imu"),
        Variant("val", ("3dpw_validation.npz", "3dpw_val.npz"), "imu"),
    ),
    "mpi_inf_3dhp": (
        Variant("train", ("mpi_inf_3dhp_train.npz",), "multiview_fit"),
        Variant("test", ("mpi_inf_3dhp_valid.npz", "mpi_inf_3dhp_test.npz")),
    ),
    "up3d": tuple(
        Variant(split, (f"up_3d_{name}.npz",), "smplify")
        for split, name in (
            ("train", "train"), ("val", "val"), ("test", "test"), ("trainval", "trainval"), ("test_lsp", "lsp_test"),
        )
    ),
    "lsp": (
        Variant("train", ("lsp_dataset_original_train.npz",)),
        Variant("test", ("lsp_dataset_test.npz",)),
        Variant("train_eft", ("lsp_dataset_original_train_eft.npz",), "eft"),
    ),
    "lspet": (Variant("train", ("hr-lspet_train.npz",)), Variant("train_eft", ("hr-lspet_train_eft.npz",), "eft")),
    "mpii": (Variant("train", ("mpii_train.npz",)), Variant("train_eft", ("mpii_train_eft.npz",), "eft")),
    "coco": (
        Variant("train", ("coco_2014_train.npz",)),
        Variant("val", ("coco_2014_val.npz",)),
        Variant("train_eft", ("coco_2014_train_eft.npz", "coco_2014_eft.npz"), "eft"),
        Variant("train_full_eft", ("coco-full_train_eft.npz",), "eft"),
    ),
    "densepose_coco": (
        Variant("train", ("dp_coco_2014_train.npz",)),
        Variant("val", ("dp_coco_2014_minival.npz",)),
    ),
    "surreal": (
        Variant("train", ("surreal_train.npz",), "synthetic"),
        Variant("val", ("surreal_val.npz",), "synthetic"),
    ),
}  # fmt: skip
"""dataset → its files. ``test_lsp`` is GraphCMR's list of 639, ``test_p2`` a part of ``test``."""

PICTURE_NAMES: dict[str, tuple[re.Pattern[str], ...]] = {
    "h36m": (
        re.compile(
            r"(?P<sequence>(?P<subject>S\d+)_(?P<action>[A-Za-z]+)[^/.]*)\.(?P<camera_id>\d{8})_(?P<frame>\d+)\.\w+$"
        ),
    ),
    "3dpw": (re.compile(r"imageFiles/(?P<sequence>[^/]+)/image_(?P<frame>\d+)\.\w+$"),),
    "mpi_inf_3dhp": (
        re.compile(
            r"(?P<sequence>(?P<subject>S\d+)/Seq\d+)/imageFrames/video_(?P<camera_id>\d+)/frame_(?P<frame>\d+)\.\w+$"
        ),
        re.compile(r"(?P<sequence>(?P<subject>TS\d+))/imageSequence/img_(?P<frame>\d+)\.\w+$"),
    ),
}
"""What the names of pictures say; ``frame`` is the number in the name, counted as its makers did."""


def known_names(dataset: str) -> tuple[str, ...]:
    """Names of all files of a dataset."""
    return tuple(name for variant in VARIANTS[dataset] for name in variant.names)


def variant_of(dataset: str, name: str) -> Variant:
    """The variant that a file of this name is.

    Raises:
        InputError: a name that no variant has; lists the known ones.
    """
    found = next((variant for variant in VARIANTS[dataset] if name in variant.names), None)
    if found is None:
        raise InputError(name, f"is not a known file of {dataset}", f"known: {', '.join(known_names(dataset))}")
    return found


def named_parts(dataset: str, paths: list[str]) -> dict[str, list[str | int | None]]:
    """Subject, sequence, action, camera and frame as the pictures' names say; columns that no name fills are absent."""
    patterns = PICTURE_NAMES.get(dataset, ())
    found = [next((m.groupdict() for p in patterns if (m := p.search(path))), {}) for path in paths]
    columns: dict[str, list[str | int | None]] = {}
    for name in ("subject", "sequence", "action", "camera_id", "frame"):
        values = [parts.get(name) for parts in found]
        if any(value is not None for value in values):
            columns[name] = [int(v) if v is not None and name == "frame" else v for v in values]
    return columns
