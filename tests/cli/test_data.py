"""The data commands on a small slice of the embedded data: what they print, write and refuse."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hmrtk.toolkit.body.model import load_body
from hmrtk.toolkit.prototypes.labels import read_labels
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet
from hmrtk.toolkit.records.table import RecordTable
from hmrtk.toolkit.shards.index import ShardIndex

from .conftest import Hmrtk

Failing = Callable[..., str]
SMALL = ("--limit", 40)


def other_body(folder: Path) -> Path:
    """An SMPL-format file of a user: the reference body's female shape as npz."""
    body = load_body(gender="female")
    path = folder / "SMPL_NEUTRAL.npz"
    np.savez(
        path,
        v_template=body.v_template,
        shapedirs=body.shapedirs,
        posedirs=body.posedirs,
        weights=body.weights,
        J_regressor=body.joint_regressor.toarray(),
        f=body.faces.astype(np.uint32),
        kintree_table=np.stack([np.asarray(body.parents), np.arange(24)]),
    )
    return path


def test_datasets_list_and_show(hmrtk: Hmrtk) -> None:
    listed = hmrtk("datasets", "list", "--json").json["datasets"]
    assert {"embedded", "h36m"} <= {d["name"] for d in listed}
    shown = hmrtk("datasets", "show", "h36m").out
    assert "Licence" in shown
    assert "312,188" in shown or "312188" in shown


def test_ingest_writes_every_split(hmrtk: Hmrtk, tmp_path: Path) -> None:
    value = hmrtk("ingest", *SMALL, "--json").json
    assert value["rows"] == {"train": 40, "val": 40, "test": 40}
    assert len(RecordTable.read(tmp_path / "ws/records/embedded/val.parquet")) == 40


def test_prototypes_and_labels(hmrtk: Hmrtk, tmp_path: Path) -> None:
    done = hmrtk("build-prototypes", "--k", 4, *SMALL, "--json")
    value = done.json
    assert (value["k"], value["samples"], value["method"]) == (4, 40, "p3dh")
    assert value["certified"] + value["rechecked"] == 40 * (value["iterations"] + 1)
    prototypes = PrototypeSet.load(tmp_path / "ws/prototypes/embedded-p3dh-k4.safetensors")
    ids, labels, metadata = read_labels(tmp_path / "ws/prototypes/embedded-p3dh-k4.labels.parquet")
    assert prototypes.counts.sum() == len(ids) == 40
    np.testing.assert_array_equal(np.bincount(labels.label, minlength=4), prototypes.counts)
    assert metadata["prototypes"] == prototypes.fingerprint


@pytest.mark.parametrize("method", ["3dh", "naive", "random", "mean"])
def test_other_methods(hmrtk: Hmrtk, method: str) -> None:
    value = hmrtk("build-prototypes", "--k", 3, "--method", method, *SMALL, "--json").json
    assert value["k"] == (1 if method == "mean" else 3)
    assert Path(value["out"]).is_file()


def test_iuv_set_and_sheet(hmrtk: Hmrtk, tmp_path: Path) -> None:
    value = hmrtk("render-iuv", *SMALL, "--size", 32, "--preview", 6, "--json").json
    assert (value["rows"], value["left_out"]) == (40, 0)
    maps = pq.read_table(value["files"][0])["iuv"]
    assert maps.type.list_size == 3 * 32 * 32
    assert (tmp_path / "ws/iuv/embedded-train/preview.png").read_bytes().startswith(b"\x89PNG")


def test_shards_with_labels_then_verify_then_damage(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    prototypes = hmrtk("build-prototypes", "--k", 3, *SMALL, "--json").json["out"]
    options = ("--limit", 12, "--split", "test", "--no-synthesise", "--workers", 1)
    value = hmrtk("build-shards", *options, "--prototypes", prototypes, "--json").json
    assert value["rows"] == 12
    assert value["prototypes"] == PrototypeSet.load(prototypes).fingerprint
    assert hmrtk("verify-shards", value["out"]).code == 0
    again = hmrtk("build-shards", *options, "--prototypes", prototypes, "--json").json
    assert again == value
    assert "holds shards built differently" in failing("build-shards", *options, "--seed", 5)
    assert hmrtk("build-shards", *options, "--seed", 5, "--overwrite").code == 0
    shard = Path(value["out"]) / ShardIndex.read(value["out"]).shards[0].path
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    damaged = hmrtk("verify-shards", value["out"])
    assert damaged.code == 1
    assert shard.name in damaged.out + damaged.err


def test_own_mocap_becomes_prototypes(hmrtk: Hmrtk, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "wave.bvh").write_text(BVH)
    assert hmrtk("ingest", "--dataset", "bvh", "--root", "raw").code == 0
    value = hmrtk("build-prototypes", "--dataset", "bvh", "--k", 2, "--json").json
    assert value["k"] == 2
    assert hmrtk("render-iuv", "--dataset", "bvh", "--preview", 2).code == 0


def test_body_replaces_the_reference_body_everywhere(hmrtk: Hmrtk, failing: Failing, tmp_path: Path) -> None:
    body = other_body(tmp_path)
    mine = load_body(body).fingerprint
    assert mine != load_body().fingerprint
    assert hmrtk("ingest", *SMALL, "--body", body, "--json").json["body"] == mine
    built = hmrtk("build-prototypes", "--k", 3, *SMALL, "--body", body, "--json").json
    assert built["body"] == mine
    assert hmrtk("render-iuv", *SMALL, "--body", body, "--preview", 0).code == 0
    shards = ("build-shards", "--limit", 4, "--split", "test", "--no-synthesise", "--workers", 1, "--out", "s")
    assert hmrtk(*shards, "--body", body, "--prototypes", built["out"], "--json").json["body"] == mine
    report = ("tail-report", *SMALL, "--prototypes", built["out"], "--rarest", 2)
    assert hmrtk(*report, "--body", body, "--json").json["body"] == mine

    theirs = load_body().fingerprint
    for refused in (
        failing("build-prototypes", "--records", "ws/records/embedded/train.parquet"),
        failing(*report),
        failing("build-shards", "--limit", 4, "--no-synthesise", "--prototypes", built["out"], "--out", "t"),
    ):
        assert f"was made with body {mine}, but the active body is {theirs}" in refused
    assert "holds shards built differently" in failing(*shards)


def test_foreign_topology_says_which_files_it_needs(failing: Failing, tmp_path: Path) -> None:
    path = other_body(tmp_path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["f"] = np.roll(arrays["f"], 1, axis=1)[::-1]
    np.savez(path, **arrays)
    assert "J_regressor_extra.npy" in failing("build-prototypes", *SMALL, "--k", 2, "--body", path)


def write_records(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """The first rows of the embedded records with something done to the table behind the package's back."""
    source = folder / "ok.parquet"
    from hmrtk.toolkit.sources.embedded import embedded_records

    embedded_records("val", load_body(), 6).write(source)
    path = folder / "bad.parquet"
    pq.write_table(change(pq.read_table(source)), path)
    return path


def doubled(table: pa.Table) -> pa.Table:
    ids = table["sample_id"].to_pylist()
    return table.set_column(0, table.schema.field("sample_id"), pa.array([ids[0], *ids[:-1]]))


def with_nan(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("body_pose")
    kind = table.schema.field(at).type
    values = table["body_pose"].combine_chunks().to_numpy_ndarray().copy()
    values[3, 0, 0] = np.nan
    storage = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 69)
    return table.set_column(at, table.schema.field(at), pa.ExtensionArray.from_storage(kind, storage))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (doubled, "row 1: sample_id 'embedded/val"),
        (with_nan, "row 3: body_pose has NaN or infinite values"),
        (lambda t: t.drop_columns(["betas"]), "has no column betas"),
        (lambda t: t.slice(0, 0), "has no rows"),
        (
            lambda t: t.replace_schema_metadata(None),
            "expected hmrtk.records, got a Parquet file that hmrtk did not write",
        ),
    ],
)
def test_bad_records_are_named(
    failing: Failing, tmp_path: Path, change: Callable[[pa.Table], pa.Table], message: str
) -> None:
    path = write_records(tmp_path, change)
    for command in ("build-prototypes", "render-iuv", "build-shards", "tail-report"):
        assert message in failing(command, "--records", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build-prototypes", "--records", "nowhere"), "nowhere: no such file"),
        (("build-prototypes", "--k", 100, *SMALL), "100 prototypes from 40 bodies"),
        (("build-prototypes", *SMALL, "--weights", "arms=3"), "unknown part group 'arms'"),
        (("build-prototypes", *SMALL, "--weights", "limbs=x"), "limbs"),
        (("build-prototypes", *SMALL, "--body", "nobody.pkl"), "nobody.pkl: no such file"),
        (("build-shards", *SMALL, "--maps", "iuv,depth"), "unknown map 'depth'; known:"),
        (("build-shards", *SMALL, "--prototypes", "p.safetensors"), "p.safetensors: no such file"),
        (("build-shards", *SMALL, "--images", "photos"), "photos: no such image folder"),
        (("verify-shards", "nothing"), "nothing: no such folder of shards"),
        (("ingest", "--dataset", "bvh"), "pass --root DIR"),
        (("ingest", "--dataset", "bvh", "--root", "nowhere"), "nowhere"),
        (("ingest", "--split", "dev"), "unknown split of embedded 'dev'"),
        (("tail-report", *SMALL, "--predictions", "a=p.parquet", "--k", 2), "p.parquet: no such file"),
        (("tail-report", *SMALL, "--protocol", "mine"), "unknown protocol 'mine'; known:"),
        (("datasets", "show", "h36"), "unknown dataset 'h36'; known: h36m,"),
    ],
)
def test_bad_arguments_are_named(failing: Failing, arguments: tuple[object, ...], message: str) -> None:
    assert message in failing(*arguments)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into read-only folders")
def test_read_only_output_is_named(failing: Failing, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert "cannot be written" in failing("build-prototypes", "--k", 2, *SMALL, "--out", "locked/p.safetensors")


def test_output_below_a_file_is_named(failing: Failing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in failing("build-prototypes", "--k", 2, *SMALL, "--out", "file/p.safetensors")
    assert "cannot be written" in failing("ingest", *SMALL, "--out", "file")


BVH = (
    """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT LeftUpLeg
  {
    OFFSET 9 -5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT LeftLeg
    {
      OFFSET 0 -40 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT LeftFoot
      {
        OFFSET 0 -40 0
        CHANNELS 3 Zrotation Xrotation Yrotation
        End Site
        {
          OFFSET 0 -5 12
        }
      }
    }
  }
  JOINT RightUpLeg
  {
    OFFSET -9 -5 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT RightLeg
    {
      OFFSET 0 -40 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT RightFoot
      {
        OFFSET 0 -40 0
        CHANNELS 3 Zrotation Xrotation Yrotation
        End Site
        {
          OFFSET 0 -5 12
        }
      }
    }
  }
  JOINT LowerBack
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Spine
    {
      OFFSET 0 12 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT Spine1
      {
        OFFSET 0 12 0
        CHANNELS 3 Zrotation Xrotation Yrotation
        JOINT Neck
        {
          OFFSET 0 12 0
          CHANNELS 3 Zrotation Xrotation Yrotation
          JOINT Head
          {
            OFFSET 0 8 0
            CHANNELS 3 Zrotation Xrotation Yrotation
            End Site
            {
              OFFSET 0 15 0
            }
          }
        }
        JOINT LeftShoulder
        {
          OFFSET 4 10 0
          CHANNELS 3 Zrotation Xrotation Yrotation
          JOINT LeftArm
          {
            OFFSET 12 0 0
            CHANNELS 3 Zrotation Xrotation Yrotation
            JOINT LeftForeArm
            {
              OFFSET 28 0 0
              CHANNELS 3 Zrotation Xrotation Yrotation
              JOINT LeftHand
              {
                OFFSET 25 0 0
                CHANNELS 3 Zrotation Xrotation Yrotation
                End Site
                {
                  OFFSET 10 0 0
                }
              }
            }
          }
        }
        JOINT RightShoulder
        {
          OFFSET -4 10 0
          CHANNELS 3 Zrotation Xrotation Yrotation
          JOINT RightArm
          {
            OFFSET -12 0 0
            CHANNELS 3 Zrotation Xrotation Yrotation
            JOINT RightForeArm
            {
              OFFSET -28 0 0
              CHANNELS 3 Zrotation Xrotation Yrotation
              JOINT RightHand
              {
                OFFSET -25 0 0
                CHANNELS 3 Zrotation Xrotation Yrotation
                End Site
                {
                  OFFSET -10 0 0
                }
              }
            }
          }
        }
      }
    }
  }
}
MOTION
Frames: 4
Frame Time: 0.1
"""
    + "\n".join(" ".join(["0 90 0"] + [str(7 * frame)] * 3 + ["0"] * 57) for frame in range(4))
    + "\n"
)
