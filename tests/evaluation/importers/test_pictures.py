"""Names of pictures and frames of videos."""

from __future__ import annotations

import numpy as np
import pytest

from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.evaluation.importers.pictures import frame_keys, name_keys, record_frames, video_frames, video_name

from .crowds import Crowd

PATHS = ["imageFiles/a/image_1.jpg", "imageFiles/b/image_1.jpg", "imageFiles/b/image_2.jpg", None]


def test_names_are_compared_with_the_folders_that_tell_them_apart() -> None:
    names = [
        "/tmp/x/b/image_1.png",
        "C:\\data\\a\\image_1.jpg",
        "/tmp/a/imgs/image_1.jpg",
        "b/image_3.jpg",
        "c/image_2.jpg",
    ]
    keys, notes = name_keys(names, PATHS, "f")
    assert keys == ["imageFiles/b/image_1.jpg", "imageFiles/a/image_1.jpg", "imageFiles/a/image_1.jpg", None, None]
    assert notes == []


def test_a_bare_name_that_occurs_once_is_enough() -> None:
    assert name_keys(["image_2.png"], PATHS, "f") == (["imageFiles/b/image_2.jpg"], [])


def test_other_folders_are_noted() -> None:
    keys, notes = name_keys(["imgs/image_2.png"] * 2, ["images/b/image_2.jpg", "images/b/image_3.jpg"], "f")
    assert keys == ["images/b/image_2.jpg"] * 2
    assert notes == [
        "1 picture matched by bare name, the folders differ: imgs/image_2.png is taken for images/b/image_2.jpg"
    ]


def test_a_name_that_several_folders_have_needs_its_folder() -> None:
    keys, notes = name_keys(["x/a/image_1.png", "x/b/image_1.png"], ["imageFiles/a/image_1.jpg"], "f")
    assert keys == ["imageFiles/a/image_1.jpg", None]
    assert notes == []


def test_an_ambiguous_name_is_refused() -> None:
    message = (
        r"^f: picture 'imgs/image_1.jpg' could be any of 2 pictures of the records, such as imageFiles/a/image_1.jpg "
        r"and imageFiles/b/image_1.jpg \(name pictures with their folders, or pass --match order\)$"
    )
    with pytest.raises(InputError, match=message):
        name_keys(["imgs/image_1.jpg"], PATHS, "f")


def test_names_of_a_videos_pictures() -> None:
    frames, videos = video_frames(["out/raw_images/a-b-000001.png", "C:\\x\\c\\imgs\\000120.png"])
    assert frames is not None
    assert frames.tolist() == [0, 119]
    assert videos == ["a-b", "c"]
    assert video_frames(["out/a-000001.png", "photo.png"]) == (None, None)
    assert video_frames(["out/a-000000.png"]) == (None, None)


def test_frames_of_named_videos(crowd: Crowd) -> None:
    keys = frame_keys(np.array([0, 3]), ["downtown_01", "courtyard_00"], crowd.records, "f")
    assert keys == [("downtown_01", 0), ("courtyard_00", 3)]
    assert frame_keys(np.array([0]), ["downtown_01"], crowd.records, "f", first_frame=7) == [("downtown_01", 7)]
    assert record_frames(crowd.records)[-1] == ("downtown_01", 3)


def test_a_single_video_needs_no_name(crowd: Crowd) -> None:
    assert frame_keys(np.array([2]), [None], crowd.records.head(4), "f") == [("courtyard_00", 2)]
    with pytest.raises(
        InputError, match=r"^f: does not say which video it is of; the records are of courtyard_00, downtown"
    ):
        frame_keys(np.array([2]), [None], crowd.records, "f")
    with pytest.raises(InputError, match=r"^f: is of video 'x'; the records are of .* \(pass --sequence NAME\)$"):
        frame_keys(np.array([2]), ["x"], crowd.records, "f")


def test_a_video_is_a_sequence_seen_by_a_camera() -> None:
    assert video_name("S1/Seq1", "4") == "S1/Seq1.4"
    assert video_name("S9_Walking.55011271", "55011271") == "S9_Walking.55011271"
    assert video_name("downtown", None) == "downtown"
