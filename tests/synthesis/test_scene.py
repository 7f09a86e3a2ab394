"""Synthesised pictures: determinism, silhouettes, light, records of the choices, occluders and refusals."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.geometry.camera import project_perspective
from hmrtk.toolkit.maps.raster import rasterize
from hmrtk.toolkit.synthesis.panorama import panorama_names
from hmrtk.toolkit.synthesis.scene import Scene, SceneConfig, redrawn, synthesise
from hmrtk.toolkit.synthesis.scene_config import scene_named

SIZE = 160
FOCAL = np.array([420.0, 420.0])
PRINCIPAL = np.array([80.0, 70.0])
PLAIN = SceneConfig(
    occluder_probability=0.0, blur_probability=0.0, motion_probability=0.0, clutter=(0, 0), loose_m=(0.0, 0.0)
)
BUSY = SceneConfig(occluder_probability=1.0, occluders=(1, 5), motion_probability=0.5, blur_probability=0.5)


def _scene(standing: np.ndarray, body: BodyModel, seed: int, config: SceneConfig | None = None) -> Scene:
    return synthesise(standing, FOCAL, PRINCIPAL, SIZE, body, np.random.default_rng(seed), config)


def _silhouette(standing: np.ndarray, body: BodyModel) -> np.ndarray:
    """(2 S, 2 S) bool: what the rasteriser hits at twice the picture's resolution."""
    points = standing.astype(np.float64)
    points[:, :2] = 2 * project_perspective(points, FOCAL, PRINCIPAL)
    return rasterize(points, body.faces, 2 * SIZE) >= 0


def test_same_seed_gives_the_same_bytes_in_any_thread(standing: np.ndarray, body: BodyModel) -> None:
    alone = [_scene(standing, body, seed).image for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: _scene(standing, body, seed).image, range(6)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_pools_of_other_libraries_do_not_change_a_byte(standing: np.ndarray, body: BodyModel) -> None:
    many = [_scene(standing, body, seed, BUSY).image for seed in range(8)]
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        with threadpool_limits(1):
            single = [_scene(standing, body, seed, BUSY).image for seed in range(8)]
    finally:
        cv2.setNumThreads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(many, single, strict=True))


def test_other_seeds_give_other_pictures_and_looks(standing: np.ndarray, body: BodyModel) -> None:
    scenes = [_scene(standing, body, seed) for seed in range(8)]
    looks = {json.dumps(scene.appearance["look"]) for scene in scenes}
    assert len(looks) == 8
    assert len({scene.appearance["place"]["panorama"] for scene in scenes}) > 3
    assert np.abs(scenes[0].image.astype(int) - scenes[1].image).mean() > 5


def test_coverage_is_the_rasterisers_silhouette(standing: np.ndarray, body: BodyModel) -> None:
    scene = _scene(standing, body, 3, PLAIN)
    share = _silhouette(standing, body).reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
    assert np.array_equal(scene.coverage, (share * 255 + 0.5).astype(np.uint8))


def test_the_place_does_not_depend_on_the_body(standing: np.ndarray, body: BodyModel) -> None:
    config = replace(PLAIN, ground=False)
    away = standing + np.array([100.0, 0, 0], np.float32)
    dressed = _scene(standing, body, 5, config)
    empty = synthesise(away, FOCAL, PRINCIPAL, SIZE, body, np.random.default_rng(5), config)
    assert empty.coverage.max() == 0
    for key in ("panorama", "yaw", "key_gain"):
        assert dressed.appearance["place"][key] == empty.appearance["place"][key]


@pytest.mark.parametrize("seed", range(6))
def test_pictures_are_lit_sanely_and_the_person_stands_out(standing: np.ndarray, body: BodyModel, seed: int) -> None:
    scene = _scene(standing, body, seed, PLAIN)
    person = scene.image[scene.coverage == 255].astype(float)
    assert 20 < scene.image.mean() < 225
    assert 15 < person.mean() < 230
    assert person.std() > 12
    ring = scene.image[(scene.coverage == 0) & (_grown(scene.coverage > 0))].astype(float)
    assert np.abs(person.mean(axis=0) - ring.mean(axis=0)).max() > 4


def _grown(mask: np.ndarray, steps: int = 8) -> np.ndarray:
    grown = mask.copy()
    for _ in range(steps):
        grown[1:] |= grown[:-1].copy()
        grown[:-1] |= grown[1:].copy()
        grown[:, 1:] |= grown[:, :-1].copy()
        grown[:, :-1] |= grown[:, 1:].copy()
    return grown


def test_appearance_survives_json_and_names_every_choice(standing: np.ndarray, body: BodyModel) -> None:
    appearance = _scene(standing, body, 11, BUSY).appearance
    assert json.loads(json.dumps(appearance)) == appearance
    assert set(appearance) == {"place", "ground", "clutter", "look", "supersample", "occluders", "camera"}
    assert appearance["place"]["panorama"] in panorama_names()


@pytest.mark.parametrize("seed", range(8))
def test_the_recorded_choices_redraw_the_same_bytes(standing: np.ndarray, body: BodyModel, seed: int) -> None:
    scene = _scene(standing, body, seed, BUSY if seed % 4 else SceneConfig(supersample=1, ground=False))
    again = redrawn(json.loads(json.dumps(scene.appearance)), standing, FOCAL, PRINCIPAL, SIZE, body)
    assert np.array_equal(again.image, scene.image)
    assert np.array_equal(again.coverage, scene.coverage)
    assert np.array_equal(again.occlusion, scene.occlusion)
    assert again.appearance == scene.appearance


def test_a_changed_choice_changes_that_alone(standing: np.ndarray, body: BodyModel) -> None:
    scene = _scene(standing, body, 3, BUSY)
    bare = redrawn({**scene.appearance, "occluders": []}, standing, FOCAL, PRINCIPAL, SIZE, body)
    assert not bare.occlusion.any()
    assert bare.coverage.sum(dtype=int) > scene.coverage.sum(dtype=int)
    free = scene.occlusion == 0
    assert np.array_equal(bare.coverage[free], scene.coverage[free])


def test_occlusion_is_what_hides_the_person(standing: np.ndarray, body: BodyModel) -> None:
    shares, kinds = [], set()
    for seed in range(16):
        scene = _scene(standing, body, seed, SceneConfig(occluder_probability=1.0))
        whole = redrawn({**scene.appearance, "occluders": []}, standing, FOCAL, PRINCIPAL, SIZE, body).coverage
        expected = whole / 255 * (1 - scene.occlusion / 255) * 255
        assert np.abs(scene.coverage - expected).max() <= 2
        shares.append(1 - scene.coverage.sum(dtype=int) / whole.sum(dtype=int))
        hides = sum(choice["hides"] for choice in scene.appearance["occluders"])
        assert shares[-1] == pytest.approx(hides, abs=0.01)
        kinds |= {choice["kind"] for choice in scene.appearance["occluders"]}
    assert min(shares) > 0
    assert 0.3 < max(shares) <= 0.71
    assert len(kinds) >= 5


def test_a_map_blanked_by_the_occlusion_shows_what_the_picture_shows(standing: np.ndarray, body: BodyModel) -> None:
    whole = _silhouette(standing, body).reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3)) >= 0.5
    config = replace(PLAIN, occluder_probability=1.0, occluders=(1, 6))
    for seed in range(8):
        scene = _scene(standing, body, seed, config)
        blanked = whole & (scene.occlusion < 128)
        assert (blanked != (scene.coverage > 127)).sum() <= 0.03 * whole.sum(), "but for pixels on outlines"


def test_loose_clothes_reach_a_little_beyond_the_silhouette(standing: np.ndarray, body: BodyModel) -> None:
    tight, loose = (_scene(standing, body, 3, replace(PLAIN, loose_m=(d, d))).coverage > 127 for d in (0.0, 0.02))
    assert (loose & tight).sum() > 0.99 * tight.sum()
    assert 1.03 < loose.sum() / tight.sum() < 1.35


def test_clutter_stands_behind_the_person(standing: np.ndarray, body: BodyModel) -> None:
    scene = _scene(standing, body, 4, replace(PLAIN, clutter=(6, 6), jpeg_quality=(96, 96)))
    assert len(scene.appearance["clutter"]) == 6
    assert not scene.occlusion.any()
    empty = redrawn({**scene.appearance, "clutter": []}, standing, FOCAL, PRINCIPAL, SIZE, body)
    assert np.array_equal(empty.coverage, scene.coverage)
    change = np.abs(empty.image.astype(int) - scene.image).mean(axis=-1)
    assert change[scene.coverage == 0].mean() > 5
    inside = ~_grown(scene.coverage < 255, 6)
    assert change[inside].mean() < 3, "JPEG blocks apart, the person hides the clutter"


def test_occluder_share_follows_the_config(standing: np.ndarray, body: BodyModel) -> None:
    small = standing
    hidden = [
        synthesise(small, FOCAL / 5, PRINCIPAL / 5, 32, body, np.random.default_rng(seed)).appearance["occluders"]
        for seed in range(60)
    ]
    assert 3 <= sum(len(choices) > 0 for choices in hidden) <= 24


def test_the_ground_is_darker_beside_the_feet(standing: np.ndarray, body: BodyModel) -> None:
    with_ground = _scene(standing, body, 2, replace(PLAIN, noise=(0.0, 0.0)))
    without = _scene(standing, body, 2, replace(PLAIN, noise=(0.0, 0.0), ground=False))
    assert with_ground.appearance["ground"]
    assert not without.appearance["ground"]
    feet = np.nonzero(with_ground.coverage.any(axis=1))[0].max()
    around = np.s_[feet - 2 : feet + 3]
    free = with_ground.coverage[around] == 0
    change = with_ground.image[around][free].astype(float).mean() - without.image[around][free].mean()
    assert change < 0


def test_no_ground_under_a_body_high_above_the_horizon(standing: np.ndarray, body: BodyModel) -> None:
    high = standing - np.array([0, 30.0, 0], np.float32)
    scene = synthesise(high, FOCAL, PRINCIPAL, SIZE, body, np.random.default_rng(0), PLAIN)
    assert not scene.appearance["ground"]


def test_bodies_cut_by_the_frame_or_outside_it_still_give_a_picture(standing: np.ndarray, body: BodyModel) -> None:
    cut = synthesise(standing, FOCAL * 2, (28.0, 24.0), (48, 64), body, np.random.default_rng(1), PLAIN)
    assert cut.image.shape == (48, 64, 3)
    assert cut.coverage[:, 24:44].mean() > 100
    gone = synthesise(standing + np.float32([50, 0, 0]), FOCAL, PRINCIPAL, 48, body, np.random.default_rng(1), PLAIN)
    assert gone.coverage.max() == 0
    assert gone.image.std() > 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices_cam": np.zeros((10, 3))}, r"scene vertices: expected shape \(6890, 3\), got \(10, 3\)"),
        ({"vertices_cam": np.full((6890, 3), np.inf)}, "scene vertices: NaN or infinite values"),
        ({"vertices_cam": np.full((6890, 3), -1.0)}, "scene vertices: the whole body is behind the camera"),
        ({"focal": (0.0, 400.0)}, "scene: focal length is"),
        ({"principal": (1.0, 2.0, 3.0)}, "scene: principal is"),
        ({"size": 3}, "picture size: expected a side"),
    ],
)
def test_refusals(standing: np.ndarray, body: BodyModel, change: dict, message: str) -> None:
    arguments = {"vertices_cam": standing, "focal": FOCAL, "principal": PRINCIPAL, "size": 64}
    with pytest.raises(InputError, match=message):
        synthesise(**{**arguments, **change}, body=body, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"supersample": 0}, "supersample is 0, expected 1..8"),
        ({"occluder_probability": 1.5}, "occluder_probability is 1.5, expected 0..1"),
        ({"blur_probability": -0.1}, "blur_probability is -0.1, expected 0..1"),
        ({"view_degrees": (80.0, 50.0)}, "view_degrees is"),
        ({"noise": (0.0, 2.0)}, "noise is"),
        ({"motion_probability": 2}, "motion_probability is 2.0, expected 0..1"),
        ({"occluders": (3, 1)}, r"occluders is \(3, 1\), expected 0 <= first <= last <= 100"),
        ({"clutter": (-1, 1)}, r"clutter is \(-1, 1\), expected 0 <= first <= last <= 100"),
        ({"loose_m": (0.0, 0.2)}, r"loose_m is \(0.0, 0.2\), expected 0.0 <= first <= last <= 0.1"),
        ({"jpeg_quality": (0, 90)}, r"jpeg_quality is \(0, 90\), expected 1 <= first <= last <= 100"),
    ],
)
def test_config_refusals(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SceneConfig(**values)


def test_ready_scenes() -> None:
    clear = scene_named("clear")
    assert (clear.occluder_probability, clear.clutter, clear.blur_probability, clear.motion_probability) == (
        0, (0, 0), 0, 0,
    )  # fmt: skip
    assert scene_named("varied") == SceneConfig()
    with pytest.raises(UnknownNameError, match="unknown scene 'clean'; known: clear"):
        scene_named("clean")


def test_the_same_scene_is_written_alike() -> None:
    written = [json.dumps(asdict(SceneConfig(occluder_probability=p, noise=(p, 0.5)))) for p in (0, 0.0)]
    assert written[0] == written[1]


def test_unknown_panorama_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="unknown panorama 'pm_parc'; known: pm_park"):
        SceneConfig(panoramas=("pm_parc",))
