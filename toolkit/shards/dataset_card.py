"""The dataset card: ``README.md`` beside the shards, for people and for Hugging Face.

In: a ``ShardIndex``. Out: a page whose YAML head says where each split's files are, so that
``datasets.load_dataset(FOLDER)`` finds them, and whose text says what the rows are, where they come from, and under
which licence. The builder writes it. A README.md of somebody else is left alone.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pyarrow as pa

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.artefact import open_input, write_bytes
from hmrtk.toolkit.records.manifest import Manifest, load_manifest
from hmrtk.toolkit.records.remote import Place
from hmrtk.toolkit.shards.index import LABELS_NAME, ShardIndex
from hmrtk.toolkit.shards.schema import array_shape, shard_schema
from hmrtk.toolkit.wording import counted

CARD_NAME = "README.md"
MARK = "<!-- written by hmrtk build-shards; a card without this line is not replaced -->"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
MEANINGS = {
    "sample_id": "unique name of the row",
    "dataset": "name of the data set",
    "split": "train, val, test, …",
    "subject": "who; null where the data set does not say, as the next four",
    "sequence": "which recording",
    "action": "what is done",
    "frame": "number of the frame in the recording",
    "camera_id": "which camera",
    "gender": "neutral, male or female: the body that the parameters are of",
    "image": "JPEG of the region around the person",
    "image_source": "`photo`, `synthesised`, or null: no picture",
    "appearance": "JSON of every choice of a synthesised picture",
    "image_path": "the photograph, below the data set's image folder",
    "image_size": "height, width of the photograph, px",
    "bbox_xyxy": "tight box, px of the photograph",
    "global_orient": "axis-angle, camera frame (x right, y down, z forward)",
    "body_pose": "axis-angle of 23 joints, each relative to its parent",
    "betas": "shape",
    "transl": "metres, camera frame; null where unknown",
    "body_source": "where the body is from: mosh, spin_fit, eft, mocap, …",
    "keypoints2d": "px of the photograph and confidence, joint set `spin24`",
    "joints3d": "metres, camera frame, and confidence, joint set `spin24`",
    "focal": "px",
    "principal": "px",
    "region": "centre x, y and side of the region, px of the photograph",
    "region_affine": "px of the photograph → px of `image`",
    "crop_camera": "s, tx, ty of the 224 px crop",
    "crop_camera_valid": "whether `crop_camera` could be solved",
    "iuv": "chart (0 background), round(255·U), round(255·V) over the region",
    "location": "metres, root-relative: the surface point of each texel of the one-piece UV space",
    "joint": "metres, root-relative: the joint that the surface point belongs to",
    "displacement": "location − joint",
    "part_visibility": "share of the IUV map's pixels of each chart",
    "label": "index of the nearest prototype",
    "distance": "metres, mean over vertices, to that prototype",
    "distance_to_singular": "metres, the same to the singular prototype",
}  # fmt: skip


def write_card(index: ShardIndex) -> None:
    """Write ``README.md`` beside the shards, unless one is there that hmrtk did not write.

    Raises:
        OutputError: it cannot be written.
    """
    place = index.root / CARD_NAME
    if not place.exists() or _is_ours(place):
        write_bytes(place, dataset_card(index).encode())


def _is_ours(place: Place) -> bool:
    with contextlib.suppress(InputError, UnicodeDecodeError), open_input(place) as stream:
        return MARK in stream.read().decode()
    return False


def dataset_card(index: ShardIndex) -> str:
    """The page."""
    manifests = {name: _manifest(name) for name in dataset_rows(index)}
    sections = [
        "\n".join(_head(index, manifests)),
        MARK,
        f"# {_title(index, manifests)}",
        _summary(index),
        "\n".join(_rows_table(index)),
        "## Opening it\n\n" + "\n".join(_usage(index)),
        "## Columns\n\n" + "\n".join(_columns_table(index)),
        "## Conventions\n\n" + "\n".join(_conventions(index)),
        "## Where it comes from\n\n" + "\n".join(_provenance(index)),
        "## Licences\n\n" + "\n\n".join(_licence(name, manifest) for name, manifest in manifests.items()),
    ]
    return "\n\n".join(sections) + "\n"


def dataset_rows(index: ShardIndex) -> dict[str, int]:
    """Rows that each data set gave, before any was left out; in order of appearance."""
    counts: dict[str, int] = {}
    for part in (index.plan or {}).get("parts", []):
        for name, rows in part["inputs"]["datasets"].items():
            counts[name] = counts.get(name, 0) + rows
    return counts


def _manifest(name: str) -> Manifest | None:
    try:
        return load_manifest(name)
    except UnknownNameError:
        return None


def _title(index: ShardIndex, manifests: dict[str, Manifest | None]) -> str:
    titles = [name if manifest is None else manifest.title for name, manifest in manifests.items()]
    return f"{', '.join(titles)}: people with SMPL bodies and dense maps" if titles else index.root.name


def _head(index: ShardIndex, manifests: dict[str, Manifest | None]) -> list[str]:
    """YAML; JSON strings are YAML strings."""
    size = next((name for limit, name in SIZES if index.rows < limit), "1M<n<10M")
    lines = ["---", f"pretty_name: {json.dumps(_title(index, manifests), ensure_ascii=False)}"]
    lines += ["license: other", "license_name: see-the-source-data-sets", "license_link: README.md#licences"]
    lines += [f"size_categories:\n- {size}", "tags:\n- human-mesh-recovery\n- smpl\n- densepose"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in index.splits:
        lines += [f"  - split: {json.dumps(_split_name(split))}", f"    path: {json.dumps(f'{split}/*.parquet')}"]
    if index.labels is not None:
        lines += ["- config_name: labels", "  data_files:", "  - split: labels", f"    path: {LABELS_NAME}"]
    return [*lines, "---"]


def _split_name(split: str) -> str:
    """As Hugging Face allows: letters, digits, underscores and single dots."""
    return re.sub(r"\.{2,}|^\.|\.$", "_", re.sub(r"[^\w.]", "_", split))


def _summary(index: ShardIndex) -> str:
    size = sum(entry.bytes for entry in index.shards) / 1e6
    found = f"{counted(index.rows, 'row')} in {counted(len(index.shards), 'file')}, {size:.0f} MB."
    return (
        f"{found} One row is one person in one picture: the picture of a square region around the person, the body's "
        "parameters, cameras, and maps of the body's surface."
    )


def _rows_table(index: ShardIndex) -> list[str]:
    lines = ["| split | rows | files |", "|---|---|---|"]
    lines += [f"| {split} | {rows} | {len(index.entries(split))} |" for split, rows in index.splits.items()]
    lines += ["", "| data set | rows |", "|---|---|"]
    lines += [f"| {name} | {rows} |" for name, rows in dataset_rows(index).items()]
    if index.left_out:
        lines += ["", f"{counted(len(index.left_out), 'row')} left out (no readable picture); index.json names them."]
    return lines


def _usage(index: ShardIndex) -> list[str]:
    split = next(iter(index.splits))
    lines = ["```python", "from datasets import load_dataset", ""]
    lines += [f'rows = load_dataset("FOLDER", split="{_split_name(split)}")', 'rows[0]["image"]  # a picture']
    if index.labels is not None:
        lines += ['labels = load_dataset("FOLDER", "labels", split="labels")  # by sample_id']
    lines += ["", "from hmrtk.toolkit.shards.reader import ShardDataset", ""]
    lines += [f'ShardDataset("FOLDER", "{split}")  # tensors, shuffled, resumable; labels included', "```", ""]
    return [*lines, "Arrays are flat lists in row-major order; reshape them as the table says."]


def _columns_table(index: ShardIndex) -> list[str]:
    lines = ["| column | type | meaning |", "|---|---|---|"]
    maps = set(index.config.get("maps", ()))
    for field in shard_schema(int(index.config["iuv_px"]), int(index.config["uv_px"])):
        meaning = MEANINGS.get(field.name, "")
        if field.name in ("iuv", "location", "joint", "displacement") and field.name not in maps:
            meaning += " (not made)"
        if field.name in ("label", "distance", "distance_to_singular"):
            meaning += " (in the configuration `labels`)" if index.labels is not None else " (no prototypes given)"
        lines.append(f"| `{field.name}` | {_type(field)} | {meaning} |")
    return lines


def _type(field: pa.Field) -> str:
    shape = array_shape(field)
    if shape is not None:
        return f"{_name(field.type.value_type)} ({', '.join(map(str, shape))})"
    return "image" if pa.types.is_struct(field.type) else _name(field.type)


def _name(kind: pa.DataType) -> str:
    return {"halffloat": "float16", "float": "float32"}.get(str(kind), str(kind))


def _conventions(index: ShardIndex) -> list[str]:
    lines = [f"- {name.replace('_', ' ')}: {value}" for name, value in index.conventions.items()]
    lines += ["- a pixel's centre is at + ½; rotations are relative to the parent", f"- body: `{index.body}`"]
    return lines + ([f"- prototypes: `{index.prototypes}`"] if index.prototypes else [])


def _provenance(index: ShardIndex) -> list[str]:
    plan: dict[str, Any] = index.plan or {}
    lines = [f"Made by `hmrtk build-shards`, version {index.provenance.get('package', '?')}, from:", ""]
    for part in plan.get("parts", []):
        inputs = part["inputs"]
        names = ", ".join(inputs["datasets"])
        made = inputs["provenance"].get("command")
        pictures = "synthesised where there is no photograph" if inputs["synthesise"] else "photographs"
        source = f"; records made by `{made}`" if made else ""
        lines.append(f"- {part['split']}: {names}, records `{inputs['records']}`{source}; pictures: {pictures}")
    return [
        *lines,
        "",
        "`index.json` has the whole configuration and the sha256 of every file; `plan.json` what was planned.",
    ]


def _licence(name: str, manifest: Manifest | None) -> str:
    if manifest is None:
        return f"**{name}**: no manifest; its licence is not known here."
    return "\n".join([
        f"**{manifest.title}** (`{name}`)",
        f"- licence: {manifest.licence}",
        f"- homepage: {manifest.homepage}",
        f"- cite: {manifest.citation}",
    ])  # fmt: skip
