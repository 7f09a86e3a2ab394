"""Bake the panoramas behind synthetic pictures: CC0 radiance maps of Poly Haven, tone-mapped to small JPEG files.

In: the ``bpy`` wheel from PyPI (Blender's studio lights, 1024x512) and the npm package ``@pmndrs/assets`` (512x256);
both are opened as archives, not installed. Out: a folder of equirectangular JPEG files, ``bpy_*.jpg`` and ``pm_*.jpg``,
longitude over the width, zenith at the top. Run: ``python -m bake.backgrounds --bpy bpy-5.0.1-….whl --pmndrs
pmndrs-assets-1.7.0.tgz --out DIR``. Needs OpenEXR and Pillow.
"""

from __future__ import annotations

import argparse
import base64
import re
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, grey_closing

STUDIO_LIGHTS = re.compile(r"bpy/[\d.]+/datafiles/studiolights/world/(\w+)\.exr$")
PMNDRS_MODULE = re.compile(r"package/hdri/(\w+)\.exr\.js$")  # a JavaScript module with the file as a data URL
DATA_URL = re.compile(r"base64,([A-Za-z0-9+/=]+)")

# Exposure by a percentile of the luminance: the mean would follow the sun or a lamp, a few pixels a thousand times as
# bright as the rest.
EXPOSURE_PERCENTILE, EXPOSURE_TARGET = 70, 0.45
WHITE_POINT = 3.0  # times the target; brighter than this is clipped
GAMMA = 2.2

JPEG_QUALITY = 90

# In two of the npm package's panoramas the sun is a dark square: the lossy compression of the file broke on it. A hole
# is a patch below DARK, at least HOLE_LEAST and at most HOLE_MOST pixels wide, in something brighter than BLINDING
# (exposed units). Thinner dark lines around lamps are the same compression's ringing and stay.
HOLE_LEAST, HOLE_MOST = 4, 9
BLINDING = 9.0
DARK = 1e-3


def studio_lights(wheel: Path) -> dict[str, bytes]:
    """Name → OpenEXR file, from Blender's wheel."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name: STUDIO_LIGHTS.search(name) for name in archive.namelist()}
        return {f"bpy_{match[1]}": archive.read(name) for name, match in found.items() if match}


def pmndrs_panoramas(package: Path) -> dict[str, bytes]:
    """Name → OpenEXR file, from the npm package."""
    panoramas = {}
    with tarfile.open(package) as archive:
        for member in archive.getmembers():
            match, stream = PMNDRS_MODULE.match(member.name), archive.extractfile(member)
            url = DATA_URL.search(stream.read().decode()) if match and stream else None
            if match and url:
                panoramas[f"pm_{match[1]}"] = base64.b64decode(url[1])
    return panoramas


def decode_exr(data: bytes) -> NDArray[np.float32]:
    """(H, W, 3) linear radiance of an OpenEXR file."""
    import OpenEXR  # type: ignore[import-not-found]

    with tempfile.NamedTemporaryFile(suffix=".exr") as file:  # OpenEXR reads from paths only
        file.write(data)
        file.flush()
        with OpenEXR.File(file.name) as image:
            channels = image.channels()
            if "RGB" in channels or "RGBA" in channels:
                pixels = channels["RGB" if "RGB" in channels else "RGBA"].pixels[..., :3]
            else:
                pixels = np.stack([channels[name].pixels for name in "RGB"], -1)
            return np.array(pixels, np.float32)


def fill_holes_in_the_sun(exposed: NDArray[np.floating]) -> NDArray[np.floating]:
    """Give dark patches inside something blinding the radiance around them; exposed radiance (H, W, 3) in and out."""
    closed = grey_closing(exposed, size=(HOLE_MOST, HOLE_MOST, 1))
    dark = (closed.min(-1) > BLINDING) & (exposed.min(-1) < DARK)
    holes = binary_opening(dark, np.ones((HOLE_LEAST, HOLE_LEAST)))
    return np.where(holes[..., None], closed, exposed)


def tone_map(radiance: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Linear radiance (H, W, 3) → sRGB-like uint8, by Reinhard's curve with a white point.

    Reinhard, Stark, Shirley and Ferwerda, "Photographic Tone Reproduction for Digital Images", SIGGRAPH 2002, Eq. 4.
    """
    exposed = radiance / np.percentile(radiance.mean(-1), EXPOSURE_PERCENTILE) * EXPOSURE_TARGET
    exposed = fill_holes_in_the_sun(np.clip(exposed, 0, None))
    display = exposed * (1 + exposed / WHITE_POINT**2) / (1 + exposed)
    return (np.clip(display, 0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def report_difference(name: str, ours: NDArray[Any], other: Path) -> None:
    """Print how a stored picture differs from the one of the same name in another folder."""
    from PIL import Image

    theirs = np.asarray(Image.open(other / f"{name}.jpg"), int)
    print(f"  {name}: largest difference {np.abs(ours - theirs).max()} of 255")


def main() -> None:
    from PIL import Image

    parser = argparse.ArgumentParser(description="Bake the panoramas behind synthetic pictures.")
    parser.add_argument("--bpy", type=Path, required=True, help="the bpy 5.0.1 wheel from PyPI")
    parser.add_argument("--pmndrs", type=Path, required=True, help="@pmndrs/assets 1.7.0 as packed by npm")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="folder of the same pictures to compare with")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    sources = studio_lights(arguments.bpy) | pmndrs_panoramas(arguments.pmndrs)
    total = 0
    for name, data in sorted(sources.items()):
        path = arguments.out / f"{name}.jpg"
        Image.fromarray(tone_map(decode_exr(data))).save(path, quality=JPEG_QUALITY)
        total += path.stat().st_size
        if arguments.compare:
            report_difference(name, np.asarray(Image.open(path), int), arguments.compare)
    print(f"wrote {len(sources)} panoramas to {arguments.out}: {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
