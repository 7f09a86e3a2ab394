"""The command ``predict``: a trained network's answers, for shards or for one photograph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hmrtk.cli.console import Console
from hmrtk.cli.options import PATH, PLACE, body_option, json_option

if TYPE_CHECKING:
    from hmrtk.models.checkpoint import Checkpoint
    from hmrtk.toolkit.body.model import BodyModel
    from hmrtk.toolkit.records.remote import Place

Box = tuple[float, float, float, float]


def _box(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Box | None:
    if value is None:
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not x0,y0,x1,y1 in px") from None
    return x0, y0, x1, y1


@click.command()
@click.option("--checkpoint", type=PATH, required=True, help="Folder that hmrtk train wrote.")
@click.option("--shards", type=PLACE, help="Predict for the rows of this shard folder.")
@click.option("--split", default="test", show_default=True, help="Split of the shards.")
@click.option("--image", type=PATH, help="Or for the person in this photograph.")
@click.option("--bbox", callback=_box, metavar="X0,Y0,X1,Y1", help="Box round the person, px; default: all of it.")
@click.option("--focal", type=float, help="Focal length of the photograph, px; default: its diagonal (CLIFF).")
@click.option("--name", help="Name of the system in tables; default: the checkpoint folder's.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--out", type=PATH, help="Predictions file, or folder for a photograph; default: in the checkpoint folder."
)
@body_option
@json_option
@click.pass_obj
def predict(
    console: Console,
    checkpoint: Path,
    shards: Place | None,
    split: str,
    image: Path | None,
    bbox: Box | None,
    focal: float | None,
    name: str | None,
    device: str,
    out: Path | None,
    body_path: Path | None,
) -> None:
    """Predict bodies: a predictions table for shards; overlay, turned views and mesh for a photograph."""
    from hmrtk.models.checkpoint import load_checkpoint
    from hmrtk.models.train import device_named
    from hmrtk.toolkit.body.model import load_body

    if (shards is None) == (image is None):
        raise click.UsageError("give --shards DIR or --image FILE, and not both")
    body = load_body(body_path)
    loaded = load_checkpoint(checkpoint, body)
    place = device_named(device)
    if image is not None:
        value = _photo(loaded, image, bbox, focal, place, body, out or checkpoint / "photos" / image.stem)
        console.result(value, [f"{what}: {where}" for what, where in value["files"].items()])
        return
    assert shards is not None
    out = out or checkpoint / f"{split}.predictions.parquet"
    rows, errors = predict_shards(console, loaded, shards, split, name or checkpoint.name, place, body, out)
    value = {"out": str(out), "rows": rows, "errors": errors, "checkpoint": loaded.fingerprint}
    console.result(value, prediction_lines(value))


def predict_shards(
    console: Console, loaded: Checkpoint, shards: Place, split: str, name: str, device: str, body: BodyModel, out: Path
) -> tuple[int, dict[str, float]]:
    """Write a predictions table; how many rows there are, and their errors where the rows have bodies."""
    from hmrtk.models.data import ShardRows
    from hmrtk.models.predict import predict_rows
    from hmrtk.models.validation import errors

    prototypes = loaded.prototypes if loaded.config.network == "pmnet" else None
    rows = ShardRows({name: shards}, split, loaded.config.data, body, prototypes)
    predictions, found = predict_rows(loaded, rows, name, device, console.progress)
    predictions.write(out)
    return len(predictions), errors(found, body) if found.has_body.any() else {}


def prediction_lines(value: dict[str, Any]) -> list[str]:
    """A finished prediction of shards in words."""
    from hmrtk.cli.train import error_words

    judged = [error_words(value["errors"])] if value["errors"] else []
    return [f"{value['rows']} predictions: {value['out']}", *judged]


def _photo(
    loaded: Checkpoint, image: Path, bbox: Box | None, focal: float | None, device: str, body: BodyModel, out: Path
) -> dict[str, Any]:
    """Predict the person in a photograph, and write pictures, meshes and numbers."""
    from hmrtk.models.predict import predict_photo
    from hmrtk.reports.photo import photo_overlay, turned_views
    from hmrtk.toolkit.body.mesh_file import CAMERA_TO_Y_UP, glb_bytes, obj_bytes
    from hmrtk.toolkit.records.artefact import open_input, write_bytes
    from hmrtk.toolkit.shards.codec import decode_image
    from hmrtk.toolkit.synthesis.picture import write_png

    with open_input(image) as stream:
        picture = decode_image(stream.read(), str(image))
    person = predict_photo(loaded, picture, bbox, focal, device)
    posed = body.pose(person.parameters)
    still = (posed.vertices[0] - person.parameters.transl) * CAMERA_TO_Y_UP
    files = {
        "overlay": out / "overlay.png", "views": out / "views.png", "crop": out / "crop.png",
        "mesh": out / "mesh.obj", "gltf": out / "mesh.glb", "numbers": out / "person.json",
    }  # fmt: skip
    overlay = photo_overlay(picture, posed, person.focal, person.principal, person.square, body)
    write_png(files["overlay"], overlay)
    write_png(files["views"], turned_views(posed, body))
    write_png(files["crop"], person.crop)
    write_bytes(files["mesh"], obj_bytes(still, body.faces, image.stem, "metres, y up"))
    write_bytes(files["gltf"], glb_bytes(still[None], body.faces, [image.stem], [{}], image.stem))
    numbers = {
        "image": image.name, "checkpoint": loaded.fingerprint, "body": body.fingerprint,
        **{n: getattr(person.parameters, n)[0].tolist() for n in ("global_orient", "body_pose", "betas", "transl")},
        "crop_camera": person.crop_camera.tolist(), "focal": person.focal.tolist(),
        "principal": person.principal.tolist(), "crop_square": person.square.tolist(), "prototype": person.prototype,
    }  # fmt: skip
    write_bytes(files["numbers"], json.dumps(numbers, indent=2).encode())
    return {"files": {what: str(path) for what, path in files.items()}, **numbers}
