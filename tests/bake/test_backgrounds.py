from __future__ import annotations

import base64
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

backgrounds = pytest.importorskip("bake.backgrounds", reason="the bake scripts are not in this installation")


def test_grey_goes_to_the_exposure_target() -> None:
    picture = backgrounds.tone_map(np.full((4, 8, 3), 7.0))
    target = backgrounds.EXPOSURE_TARGET
    display = target * (1 + target / backgrounds.WHITE_POINT**2) / (1 + target)
    assert np.unique(picture).tolist() == [int(display ** (1 / backgrounds.GAMMA) * 255)]
    assert picture.dtype == np.uint8


def test_curve_is_monotonic_and_independent_of_exposure() -> None:
    ramp = np.repeat(np.linspace(0, 20, 64)[None, :, None], 3, 2)
    picture = backgrounds.tone_map(ramp)
    assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()
    np.testing.assert_array_equal(picture, backgrounds.tone_map(ramp * 64))


def test_black_negative_and_blinding_values_stay_in_range() -> None:
    radiance = np.ones((10, 10, 3))
    radiance[0, 0], radiance[0, 1] = -5, 1e6
    picture = backgrounds.tone_map(radiance)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, 1].tolist() == [255, 255, 255]


def test_a_dark_square_in_the_sun_is_filled_and_a_dark_line_is_not() -> None:
    radiance = np.full((40, 80, 3), 0.5)
    radiance[5:25, 10:30] = 500.0
    radiance[12:18, 17:23] = 1e-7  # the broken middle of the sun
    radiance[5:25, 27] = 0.0  # a glazing bar
    filled = backgrounds.fill_holes_in_the_sun(radiance)
    assert (filled[12:18, 17:23] == 500).all()
    untouched = np.ones((40, 80), bool)
    untouched[12:18, 17:23] = False
    np.testing.assert_array_equal(filled[untouched], radiance[untouched])


def test_panoramas_are_found_in_both_archives(tmp_path: Path) -> None:
    wheel, package = tmp_path / "bpy.whl", tmp_path / "assets.tgz"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("bpy/5.0/datafiles/studiolights/world/city.exr", b"one")
        archive.writestr("bpy/5.0/datafiles/studiolights/world/license.txt", b"CC0")
        archive.writestr("bpy/5.0/datafiles/studiolights/matcap/clay.exr", b"no panorama")
    module = b'export default "data:image/exr;base64,' + base64.b64encode(b"two") + b'"'
    with tarfile.open(package, "w:gz") as archive:
        for name, data in (("package/hdri/park.exr.js", module), ("package/hdri/park.exr.d.ts", b"export")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    assert backgrounds.studio_lights(wheel) == {"bpy_city": b"one"}
    assert backgrounds.pmndrs_panoramas(package) == {"pm_park": b"two"}
