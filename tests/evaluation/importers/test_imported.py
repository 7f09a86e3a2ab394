"""The whole import: coverage, names, provenance, and predictions that evaluation takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import BodyMismatchError, InputError, UnknownNameError
from hmrtk.toolkit.evaluation.importers.imported import ImportConfig, Imported, import_predictions, report_lines
from hmrtk.toolkit.evaluation.metrics import evaluate
from hmrtk.toolkit.evaluation.predictions import Predictions
from hmrtk.toolkit.records.artefact import file_fingerprint

from . import result_files as files
from .crowds import VIDEOS, Crowd


@pytest.fixture
def few(crowd: Crowd, body: BodyModel, tmp_path: Path) -> Path:
    """CLIFF's file of all but records 3, 6 and 7, and of one bystander."""
    rows = np.array([row for row in range(len(crowd)) if row not in (3, 6, 7)] + [0])
    columns = files.cliff_columns(crowd, rows, body)
    columns["detection_all"][-1, 1:5] = [600, 10, 620, 60]
    return files.write_npz(tmp_path / "few.npz", columns)


def test_records_without_a_result_are_refused(few: Path, crowd: Crowd, body: BodyModel) -> None:
    with pytest.raises(InputError) as caught:
        import_predictions([few], crowd.records, body, ImportConfig("cliff_npz"))
    assert str(caught.value) == (
        f"{few}: 3 of 16 records have no result, matched by image and box; the first: "
        "'3dpw/test/imageFiles/courtyard_00/image_00001.jpg/1' (no box of its picture overlaps it enough), "
        "'3dpw/test/imageFiles/courtyard_00/image_00003.jpg/0' (its picture has no result), "
        "'3dpw/test/imageFiles/courtyard_00/image_00003.jpg/1' (its picture has no result) "
        "(--missing drop keeps the other 13, and says so)"
    )


def test_a_subset_says_so_and_scores_zero(few: Path, crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    done = import_predictions([few], crowd.records, body, ImportConfig("cliff_npz", name="CLIFF", missing="drop"))
    assert done.report["records"] == 16
    assert done.report["predictions"] == 13
    assert done.report["records_without_result"]["count"] == 3
    assert done.report["results_without_record"] == {
        "count": 1,
        "first": [f"{few} row 13 (/data/frames/courtyard_00/image_00000.jpg)"],
    }
    done.predictions.write(tmp_path / "p.parquet")
    found = Predictions.read(tmp_path / "p.parquet")
    assert found.metadata.system == "CLIFF"
    assert found.metadata.provenance["matching"] == done.report
    assert found.metadata.provenance["inputs"][str(few)] == file_fingerprint(few)
    errors = evaluate(done.records, found, body)
    assert len(errors) == 13
    assert errors.mpjpe.max() < 1e-2
    assert report_lines(done.report) == [
        "CLIFF: 13 predictions for 16 records, matched by image and box",
        "3 records with no result: "
        "3dpw/test/imageFiles/courtyard_00/image_00001.jpg/1: no box of its picture overlaps it enough; "
        "3dpw/test/imageFiles/courtyard_00/image_00003.jpg/0: its picture has no result; "
        "3dpw/test/imageFiles/courtyard_00/image_00003.jpg/1: its picture has no result",
        f"1 result with no record: {few} row 13 (/data/frames/courtyard_00/image_00000.jpg)",
    ]


def test_nothing_that_fits_is_an_error_even_when_dropping(few: Path, crowd: Crowd, body: BodyModel) -> None:
    config = ImportConfig("cliff_npz", missing="drop", min_iou=1.0)
    far = crowd.records.take(np.array([6, 7]))
    with pytest.raises(
        InputError,
        match=r"has no result for any of 2 records of records, matched by image and box; '3dpw.*: its picture has no",
    ):
        import_predictions([few], far, body, config)


def test_a_picture_of_each_is_shown_when_none_agree(few: Path, crowd: Crowd, body: BodyModel) -> None:
    table = crowd.records.table
    column = table.schema.get_field_index("image_path")
    renamed = table.set_column(column, "image_path", [[f"a/{row}.jpg" for row in range(len(crowd))]])
    records = type(crowd.records)(renamed, crowd.records.metadata)
    message = (
        r"has no result .*: its picture has no result \(it is 'a/0.jpg', the file's first is '/data/frames/courtyard_"
    )
    with pytest.raises(InputError, match=message):
        import_predictions([few], records, body, ImportConfig("cliff_npz"))


def test_joints_of_another_body_are_noted(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    columns = files.spin_columns(crowd, body)
    path = files.write_npz(tmp_path / "x.npz", columns)
    assert import_predictions([path], crowd.records, body, ImportConfig("spin_npz")).report["notes"] == []
    columns["pred_joints"] = 1.05 * columns["pred_joints"]
    path = files.write_npz(tmp_path / "y.npz", columns)
    (note,) = import_predictions([path], crowd.records, body, ImportConfig("spin_npz")).report["notes"]
    assert note.startswith("the file's own joints are ")
    assert "it is not the system's body (pass --body)" in note
    path = files.write_npz(tmp_path / "z.npz", columns | {"pred_joints": np.zeros((16, 17, 3))})
    done = import_predictions([path], crowd.records, body, ImportConfig("spin_npz"))
    assert done.predictions.joints3d is None
    assert done.report["notes"] == []


def test_the_video_is_in_the_path_or_given(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    rows = np.array([row for row, name in enumerate(crowd.videos) if name == VIDEOS[1]])
    path = files.write_joblib(tmp_path / "demo" / "vibe_output.pkl", files.vibe_people(crowd, rows, body))
    records = crowd.records.take(rows)

    def imported(**config: object) -> Imported:
        return import_predictions([path], crowd.records, body, ImportConfig("vibe_pkl", missing="drop", **config))  # type: ignore[arg-type]

    with pytest.raises(
        InputError, match="does not say which video it is of; the records are of courtyard_00, downtown_01"
    ):
        imported()
    assert imported(sequence=VIDEOS[1]).records.sample_ids == records.sample_ids
    later = imported(sequence=VIDEOS[1], first_frame=2)
    assert later.records.array("frame").tolist() == [2, 2, 3, 3]
    with pytest.raises(InputError, match=r"is of video 'x'; the records are of .* \(pass --sequence NAME\)"):
        imported(sequence="x")
    whole = import_predictions([path], records, body, ImportConfig("vibe_pkl"))
    assert len(whole.predictions) == len(rows)


def test_rows_without_a_body_are_records_without_a_result(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    columns = files.spin_columns(crowd, body)
    columns["pose"][5, 3] = np.nan
    one = files.write_npz(tmp_path / "one.npz", {name: value[:4] for name, value in columns.items()})
    two = files.write_npz(tmp_path / "two.npz", {name: value[4:] for name, value in columns.items()})
    with pytest.raises(InputError) as caught:
        import_predictions([one, two], crowd.records, body, ImportConfig("spin_npz"))
    assert str(caught.value) == (
        f"{one} and 1 more: 1 of 16 records have no result, matched by order; the first: "
        f"'3dpw/test/imageFiles/courtyard_00/image_00002.jpg/1' ({two} row 1: its pose has NaN or infinite values) "
        "(--missing drop keeps the other 15, and says so)"
    )
    done = import_predictions([one, two], crowd.records, body, ImportConfig("spin_npz", missing="drop"))
    assert done.records.sample_ids == [*crowd.records.sample_ids[:5], *crowd.records.sample_ids[6:]]


def test_several_files_must_have_the_same(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    columns = files.spin_columns(crowd, body)
    one = files.write_npz(tmp_path / "one.npz", {name: value[:9] for name, value in columns.items()})
    two = files.write_npz(tmp_path / "two.npz", {name: value[9:] for name, value in columns.items()})
    done = import_predictions([one, two], crowd.records, body, ImportConfig("spin_npz"))
    np.testing.assert_array_equal(done.predictions.parameters.betas, crowd.parameters.betas)  # type: ignore[union-attr]
    del columns["camera"]
    bare = files.write_npz(tmp_path / "bare.npz", {name: value[9:] for name, value in columns.items()})
    with pytest.raises(InputError, match=r"bare\.npz: has no camera, but .*one\.npz has \(import them apart\)"):
        import_predictions([one, bare], crowd.records, body, ImportConfig("spin_npz"))


def test_the_expansion_of_crops_without_a_place(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    path = files.write_npz(tmp_path / "x.npz", files.spin_columns(crowd, body))
    done = import_predictions([path], crowd.records, body, ImportConfig("spin_npz", expansion=0.9))
    np.testing.assert_allclose(done.predictions.camera[:, 0], crowd.record_cameras()[:, 0] * 0.75, rtol=1e-5)  # type: ignore[index]


def test_wrong_body_and_format(crowd: Crowd, body: BodyModel, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown format of results 'spin'"):
        import_predictions([tmp_path / "x"], crowd.records, body, ImportConfig("spin"))
    other = type(crowd.records)(crowd.records.table, type(crowd.records.metadata)(body="ffff"))
    with pytest.raises(BodyMismatchError):
        import_predictions([tmp_path / "x"], other, body, ImportConfig("spin_npz"))
