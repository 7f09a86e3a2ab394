"""Manifests: the packaged ones are valid and say what the papers say; damage is refused; the message for no data."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest

from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.records.manifest import LayoutEntry, Manifest, load_manifest, manifest_names, parse_manifest


def text_of(name: str) -> str:
    return (importlib.resources.files("hmrtk.datasets_manifest") / f"{name}.toml").read_text("utf-8")


def test_the_packaged_names() -> None:
    assert {"embedded", "h36m", "3dpw", "up3d", "mpi_inf_3dhp", "bvh", "amc", "deepmimic"} <= set(manifest_names())
    assert list(manifest_names()) == sorted(manifest_names())


@pytest.mark.parametrize("name", manifest_names())
def test_every_packaged_manifest_is_valid(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.name == name
    assert manifest.homepage.startswith("http")
    for fmt in manifest.formats:
        assert manifest.packaged or manifest.missing(None, fmt), fmt


@pytest.mark.parametrize(
    ("name", "k", "tails"),
    [("h36m", 50, (5, 10)), ("3dpw", 10, (5, 10)), ("up3d", 50, (10, 20)), ("mpi_inf_3dhp", 10, (5, 10))],
)
def test_prototypes_and_tails_are_those_of_pm_net(name: str, k: int, tails: tuple[int, ...]) -> None:
    manifest = load_manifest(name)
    assert manifest.default_k == k
    assert manifest.tail_percents == tails


def test_counts_of_the_papers() -> None:
    assert load_manifest("h36m").splits["train"].count == 312_188
    assert load_manifest("h36m").splits["test_p2"].count == 26_859
    assert load_manifest("3dpw").splits["test"].count == 35_515
    assert load_manifest("up3d").splits["test"].count == 1_389
    assert load_manifest("embedded").splits["val"].count == 2_000


def test_an_unknown_dataset_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset 'h36'; known: h36m"):
        load_manifest("h36")


def test_missing_places(tmp_path: Path) -> None:
    manifest = load_manifest("h36m")
    assert [entry.path for entry in manifest.missing(tmp_path, "spin_npz")] == [
        "h36m_valid_protocol1.npz",
        "h36m_valid_protocol2.npz",
    ]
    (tmp_path / "h36m_valid_protocol1.npz").touch()
    assert [entry.path for entry in manifest.missing(tmp_path)] == ["h36m_valid_protocol2.npz"]
    (tmp_path / "h36m_valid_protocol2.npz").touch()
    assert manifest.missing(tmp_path) == ()
    assert len(manifest.missing(tmp_path, "raw")) == 4
    assert len(manifest.missing(None, "raw")) == 4


def test_globs_of_a_layout(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    assert load_manifest("bvh").missing(tmp_path)
    (tmp_path / "sub" / "deep" / "x.bvh").touch()
    assert load_manifest("bvh").missing(tmp_path) == ()


def test_names_of_a_group(tmp_path: Path) -> None:
    entry = LayoutEntry(path="S*/pose/x_??.txt", meaning="poses", group="g")
    for path in ("S1/pose/x_07.txt", "S11/pose/x_ab.txt", "S1/pose/x_1.txt", "S1/pose/x__a.txt", "S1/other/x_07.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert entry.names(tmp_path) == {("1", "0", "7"): "S1/pose/x_07.txt", ("11", "a", "b"): "S11/pose/x_ab.txt"}
    assert entry.named(("5", "1", "2")) == "S5/pose/x_12.txt"


def test_message_without_a_root_says_layout_and_origin() -> None:
    message = load_manifest("h36m").missing_message()
    for part in (
        "Human3.6M is not on this machine.",
        "Expected layout",
        "S*/MyPoseFeatures/D3_Positions_mono/*.cdf",
        "h36m_valid_protocol2.npz",
        "How to get it:",
        "1. Apply for an account",
        "http://vision.imar.ro/human3.6m",
        "Licence:",
    ):
        assert part in message
    assert "Missing:" not in message


def test_message_with_a_root_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "h36m_valid_protocol1.npz").touch()
    message = load_manifest("h36m").missing_message(tmp_path, "spin_npz")
    missing = message.split("Missing:")[1].split("Expected layout")[0]
    assert str(tmp_path) in message
    assert "h36m_valid_protocol2.npz" in missing
    assert "h36m_valid_protocol1.npz" not in missing


@pytest.mark.parametrize("name", manifest_names())
def test_the_page_of_a_dataset_says_everything(name: str) -> None:
    manifest, page = load_manifest(name), "\n".join(load_manifest(name).page())
    for part in (manifest.title, manifest.licence, manifest.citation, f"K = {manifest.default_k}", *manifest.obtain):
        assert part in page
    for part in (*manifest.splits, *(p.name for p in manifest.protocols), *(e.path for e in manifest.layout)):
        assert part in page


def with_download(text: str, **changes: str) -> str:
    """The text with one more download at its end."""
    values = {"url": "https://example.org/a.zip", "file": "a.zip", "meaning": "m", "part": "p", **changes}
    return text + "\n[[downloads]]\n" + "".join(f'{key} = "{value}"\n' for key, value in values.items())


BREAKAGES = {
    "not TOML": (lambda t: t.replace("name = ", "name ", 1), "h36m.toml: is not valid TOML"),
    "missing field": (lambda t: t.replace("default_k = 50\n", ""), "default_k: Field required"),
    "unknown field": (lambda t: "colour = 1\n" + t, "colour: Extra inputs are not permitted"),
    "bad K": (lambda t: t.replace("default_k = 50", "default_k = 0"), "default_k: Input should be greater than 0"),
    "bad tail": (lambda t: t.replace("[5.0, 10.0]", "[5.0, 110.0]"), "not all between 0 and 100"),
    "leaves the root": (lambda t: t.replace('"images/*.jpg"', '"../x"'), "'../x' leaves the dataset's root"),
    "absolute": (lambda t: t.replace('"images/*.jpg"', '"/x"'), "'/x' leaves the dataset's root"),
    "layout format": (lambda t: t.replace('format = "raw"', 'format = "rar"', 1), "names format 'rar'"),
    "protocol split": (lambda t: t.replace('split = "test"', 'split = "tset"', 1), "names split 'tset'"),
    "other name": (lambda t: t.replace('name = "h36m"', 'name = "h37m"', 1), "name is 'h37m', expected 'h36m'"),
    "count of none": (lambda t: t.replace("[[layout]]", "[[layout]]\ncount = 0", 1), "layout.0.count: Input should be"),
    "group": (
        lambda t: t.replace("[[layout]]", '[[layout]]\npath = "**/*.x"\nmeaning = "m"\ngroup = "g"\n\n[[layout]]', 1),
        "layout '**/*.x' is in a group, where only * and ? are possible",
    ),
    "no URL": (lambda t: with_download(t, url="file:///etc/passwd"), "downloads.0.url: String should match pattern"),
    "no hash": (lambda t: with_download(t, sha256="12ab"), "downloads.0.sha256: String should match pattern"),
    "download leaves": (lambda t: with_download(t, file="../a"), "'../a' leaves the dataset's root"),
    "unpacked outside": (lambda t: with_download(t, unpack="/tmp"), "'/tmp' leaves the dataset's root"),
    "twice": (lambda t: with_download(with_download(t)), "downloads: 'a.zip' is there twice"),
    "no layout": (lambda t: t.split("[[layout]]")[0] + "[splits.test]\n", "layout is empty"),
    "empty": (lambda t: "", "name: Field required"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_damaged_manifests_are_refused(breakage: str) -> None:
    change, expected = BREAKAGES[breakage]
    with pytest.raises(InputError, match=r"^h36m\.toml: ") as caught:
        parse_manifest(change(text_of("h36m")), "h36m.toml", "h36m")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_downloads_are_on_the_page() -> None:
    manifest = load_manifest("coco")
    assert manifest.parts == ("annotations", "train2014", "val2014", "annotations2017", "train2017", "val2017")
    page = "\n".join(manifest.page())
    assert "Without registration: hmrtk datasets download coco [--part PART]:" in page
    assert (
        "train2014        82,783 training pictures (http://images.cocodataset.org/zips/train2014.zip, 13.5 GB)" in page
    )
    assert "5,000 validation pictures of 2017" in page
    assert "[only when its part is named]" in page
    assert "Without registration" not in "\n".join(load_manifest("h36m").page())


def test_a_manifest_cannot_be_changed() -> None:
    manifest = load_manifest("h36m")
    with pytest.raises(ValueError, match="frozen"):
        manifest.default_k = 3  # type: ignore[misc]
    assert isinstance(manifest, Manifest)
