"""``fit_prototypes``: cases computed by hand, degenerate inputs, the five methods, seeds, errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes import features
from hmrtk.toolkit.prototypes.features import parameter_vectors, vector_parameters
from hmrtk.toolkit.prototypes.kmeans import METHODS, PrototypeConfig, fit_prototypes, singular_prototype
from hmrtk.toolkit.sources.embedded import SPLITS, embedded_records

from .conftest import heading


def sized(betas: list[float]) -> BodyParameters:
    """T-posed bodies that differ in the first shape coefficient only: their vertices lie on a line."""
    values = np.zeros((len(betas), 10))
    values[:, 0] = betas
    return BodyParameters.of(np.zeros((len(betas), 3)), None, values)


@pytest.mark.parametrize("init", ["random", "k-means++"])
@pytest.mark.parametrize("seed", range(4))
def test_four_bodies_by_hand(body: BodyModel, weights: NDArray[np.float64], init: str, seed: int) -> None:
    """β₀ = 0, .1, 5, 5.2 make two clusters around .05 and 5.1; γ = (β₀ − c)² · ‖S₀ ∘ W‖²."""
    fit = fit_prototypes(sized([0, 0.1, 5, 5.2]), body, PrototypeConfig(k=2, init=init, seed=seed, tol=0))
    low = int(fit.labels.label[0])
    assert fit.labels.label.tolist() == [low, low, 1 - low, 1 - low]
    np.testing.assert_allclose(fit.prototypes.betas[[low, 1 - low], 0], [0.05, 5.1], rtol=1e-6)
    length = float(((body.shapedirs[:, :, 0] * weights[:, None]) ** 2).sum())
    expected = np.array([0.05, 0.05, 0.1, 0.1]) ** 2 * length
    np.testing.assert_allclose(fit.labels.weighted_distance, expected, rtol=2e-4)
    metres = float(np.linalg.norm(body.shapedirs[:, :, 0], axis=1).mean())
    np.testing.assert_allclose(fit.labels.distance, np.array([0.05, 0.05, 0.1, 0.1]) * metres, rtol=2e-4)
    np.testing.assert_allclose(
        fit.labels.distance_to_singular, np.abs([2.575, 2.475, 2.425, 2.625]) * metres, rtol=2e-4
    )
    assert fit.prototypes.counts.tolist() == [2, 2]
    assert fit.history[-1]["mean_distance"] == pytest.approx(expected.mean(), rel=1e-2)


def test_headings_average_on_the_circle(body: BodyModel) -> None:
    fit = fit_prototypes(heading([0.1, 0.3, 2.0, 2.4]), body, PrototypeConfig(k=2, tol=0))
    np.testing.assert_allclose(sorted(fit.prototypes.global_orient[:, 1]), [0.2, 2.2], atol=1e-5)


def test_five_distinct_bodies_with_ten_centres(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies[np.tile(np.arange(5), 8)], body, PrototypeConfig(k=10, seed=1))
    assert len(set(fit.labels.label)) == 5
    np.testing.assert_array_equal(fit.labels.label.reshape(8, 5), np.tile(fit.labels.label[:5], (8, 1)))
    assert fit.labels.weighted_distance.max() < 1e-6
    assert np.isfinite(fit.prototypes.parameters.pose).all()
    assert sorted(fit.prototypes.counts) == [0] * 5 + [8] * 5


def test_empty_clusters_are_reseeded_and_counted(body: BodyModel, bodies: BodyParameters) -> None:
    """Every first centre is one of 90 copies of a body; the ten others are found by re-seeding."""
    crowd = bodies[np.concatenate([np.zeros(990, int), np.arange(1, 11)])]
    fit = fit_prototypes(crowd, body, PrototypeConfig(k=5, seed=2))
    assert fit.prototypes.metadata["reseeded"] == sum(entry["reseeded"] for entry in fit.history) > 0
    assert (fit.prototypes.counts > 0).all()


def test_as_many_centres_as_bodies(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies[:12], body, PrototypeConfig(k=12))
    assert sorted(fit.labels.label) == list(range(12))
    assert fit.objective["assigned"] < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_one_body_and_one_distinct_pose(body: BodyModel, bodies: BodyParameters, method: str) -> None:
    for sample in (bodies[[0]], bodies[[0, 0, 0]]):
        fit = fit_prototypes(sample, body, PrototypeConfig(k=1, method=method))
        np.testing.assert_allclose(fit.prototypes.body_pose[0], sample.body_pose[0], atol=1e-5)
        assert fit.labels.label.tolist() == [0] * len(sample)
        assert fit.labels.distance.max() < 1e-5


def test_centres_are_the_scipy_means_of_their_labels(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies, body, PrototypeConfig(k=6, tol=0))
    assert fit.prototypes.metadata["stopped"] == "labels"
    for k in range(6):
        mine = fit.labels.label == k
        np.testing.assert_allclose(fit.prototypes.betas[k], bodies.betas[mine].mean(axis=0), atol=1e-5)
        for joint in range(24):
            oracle = Rotation.from_rotvec(bodies.pose[mine, joint].astype(np.float64)).mean()
            got = Rotation.from_rotvec(fit.prototypes.parameters.pose[k, joint].astype(np.float64))
            assert (oracle.inv() * got).magnitude() < 2e-5


def test_mean_distance_falls_and_the_final_one_lies_in_its_bounds(body: BodyModel, people: BodyParameters) -> None:
    fit = fit_prototypes(people, body, PrototypeConfig(k=20, tol=0))
    means = [entry["mean_distance"] for entry in fit.history]
    assert fit.iterations == len(means) - 1 > 3
    assert means[-1] < 0.8 * means[0]
    rises = np.maximum(np.diff(means), 0) / means[0]
    assert rises.max() < 2e-3  # averaging rotations does not minimise vertex distances exactly
    kept = fit.history[fit.prototypes.metadata["kept_iteration"]]
    assert kept["mean_distance"] == min(means)
    assert kept["lower"] <= fit.objective["assigned"] <= kept["upper"]
    assert fit.certified == sum(e["certified"] for e in fit.history) > 50 * fit.rechecked


def test_labels_belong_to_the_saved_centres_even_when_cut_short(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], brute_force: Callable[..., Any]
) -> None:
    for config in (
        PrototypeConfig(k=15, max_iter=0),
        PrototypeConfig(k=15, max_iter=2),
        PrototypeConfig(k=15, tol=0.05),
        PrototypeConfig(k=15, method="random"),
    ):
        fit = fit_prototypes(bodies, body, config)
        gamma = brute_force(body, bodies, fit.prototypes.parameters, weights)
        np.testing.assert_array_equal(fit.labels.label, gamma.argmin(axis=1))
        np.testing.assert_allclose(fit.labels.weighted_distance, gamma.min(axis=1), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(fit.prototypes.counts, np.bincount(fit.labels.label, minlength=15))


def test_3dh_assigns_by_unweighted_vertices(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], brute_force: Callable[..., Any]
) -> None:
    fit = fit_prototypes(bodies, body, PrototypeConfig(k=15, method="3dh"))
    plain = brute_force(body, bodies, fit.prototypes.parameters, np.ones(6890))
    np.testing.assert_array_equal(fit.labels.label, plain.argmin(axis=1))
    gamma = brute_force(body, bodies, fit.prototypes.parameters, weights)
    assert fit.objective["nearest"] == pytest.approx(gamma.min(axis=1).mean(), rel=1e-6)
    assert fit.objective["assigned"] == pytest.approx(gamma[np.arange(400), fit.labels.label].mean(), rel=1e-6)
    assert fit.objective["nearest"] < fit.objective["assigned"]


def test_naive_assigns_by_parameters(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies, body, PrototypeConfig(k=15, method="naive"))
    a, b = (parameter_vectors(p).astype(np.float64) for p in (bodies, fit.prototypes.parameters))
    square = ((a[:, None] - b) ** 2).sum(-1)
    np.testing.assert_array_equal(fit.labels.label, square.argmin(axis=1))
    assert fit.history[-1]["mean_distance"] == pytest.approx(square.min(axis=1).mean(), rel=1e-5)
    assert fit.iterations == len(fit.history) - 1 > 1


def test_random_keeps_the_bodies_it_drew(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies, body, PrototypeConfig(k=15, method="random", seed=4))
    drawn = {row.tobytes() for row in fit.prototypes.parameters.pose}
    assert len(drawn) == 15
    assert drawn <= {row.tobytes() for row in bodies.pose}
    start = fit_prototypes(bodies, body, PrototypeConfig(k=15, seed=4, max_iter=0))
    np.testing.assert_array_equal(start.prototypes.body_pose, fit.prototypes.body_pose)  # p3dh starts from the same


def test_mean_is_the_singular_prototype_of_every_set(body: BodyModel, bodies: BodyParameters) -> None:
    single = singular_prototype(bodies, body)
    fit = fit_prototypes(bodies, body, PrototypeConfig(k=4))
    assert len(single) == 1
    assert single.metadata["method"] == "mean"
    assert single.metadata["root"] in ("markley", "facing-camera")
    np.testing.assert_array_equal(fit.prototypes.singular.pose, single.parameters.pose)
    np.testing.assert_allclose(single.betas[0], bodies.betas.mean(axis=0), atol=1e-5)


def test_k_is_one_for_mean_whatever_was_asked(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies[:5], body, PrototypeConfig(k=50, method="mean"))
    assert fit.prototypes.metadata["k"] == len(fit.prototypes) == 1


@pytest.mark.parametrize("method", ["p3dh", "naive", "random"])
def test_seeds_reproduce_and_differ(body: BodyModel, bodies: BodyParameters, method: str) -> None:
    first, again, other = (fit_prototypes(bodies, body, PrototypeConfig(k=8, method=method, seed=s)) for s in (1, 1, 2))
    assert first.prototypes.fingerprint == again.prototypes.fingerprint != other.prototypes.fingerprint
    np.testing.assert_array_equal(first.labels.label, again.labels.label)
    np.testing.assert_array_equal(first.labels.distance, again.labels.distance)


def test_labels_survive_another_basis(body: BodyModel, bodies: BodyParameters) -> None:
    fits = [fit_prototypes(bodies, body, PrototypeConfig(k=8, tol=0, dims=d)) for d in (3, 30, None)]
    assert len({fit.prototypes.fingerprint for fit in fits}) == 1
    assert fits[0].rechecked > fits[1].rechecked


def test_metadata_says_how_it_was_made(body: BodyModel, bodies: BodyParameters) -> None:
    fit = fit_prototypes(bodies, body, PrototypeConfig(k=8, seed=3), inputs={"records": "abc"})
    metadata = fit.prototypes.metadata
    assert (metadata["method"], metadata["k"], metadata["seed"]) == ("p3dh", 8, 3)
    assert metadata["body"] == metadata["provenance"]["body"] == body.fingerprint
    assert metadata["provenance"]["inputs"] == {"records": "abc"}
    assert metadata["weights"]["limbs"] == 5.0
    assert metadata["history"] == fit.history
    assert metadata["certified"] + metadata["rechecked"] == 400 * len(fit.history)
    assert fit.prototypes.camera.tolist() == pytest.approx([0.9, 0, 0])


def test_progress_tells_the_mean_distance_of_every_iteration(body: BodyModel, bodies: BodyParameters) -> None:
    notes: list[tuple[int, int, str]] = []

    def listen(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "K-Means":
            notes.append((done, total, note))

    fit = fit_prototypes(bodies, body, PrototypeConfig(k=8, max_iter=20), listen)
    assert len(notes) == len(fit.history) + 1
    assert notes[0][2] == f"mean γ {fit.history[0]['mean_distance']:.5g} m²"
    assert notes[-1][:2] == (20, 20)


def test_phi_round_trip_makes_rotations_orthonormal(bodies: BodyParameters) -> None:
    vectors = parameter_vectors(bodies[:20])
    vectors[:, :144] *= 1.3
    back = vector_parameters(vectors)
    turn = Rotation.from_rotvec(back.pose.reshape(-1, 3)).inv() * Rotation.from_rotvec(bodies[:20].pose.reshape(-1, 3))
    assert turn.magnitude().max() < 1e-5
    np.testing.assert_array_equal(back.betas, bodies.betas[:20])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PrototypeConfig(k=6), "k: 6 prototypes from 5 bodies \\(choose k of at most 5\\)"),
        (PrototypeConfig(k=0), "k: is 0, expected at least 1"),
        (PrototypeConfig(k=2, max_iter=-1), "max_iter: is -1, expected at least 0"),
        (PrototypeConfig(k=2, tol=-0.1), "tol: is -0.1, expected at least 0"),
        (PrototypeConfig(k=2, tol=float("nan")), "tol: is nan, expected at least 0"),
        (PrototypeConfig(k=2, dims=0), "dims: is 0, expected at least 1"),
        (PrototypeConfig(k=2, weights={"limbs": 5}), "part weights: no weight for torso"),
    ],
)
def test_options_out_of_range(body: BodyModel, bodies: BodyParameters, config: PrototypeConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_prototypes(bodies[:5], body, config)


@pytest.mark.parametrize(("field", "kind"), [("method", "method"), ("init", "initialisation"), ("device", "device")])
def test_unknown_names_list_the_known(body: BodyModel, bodies: BodyParameters, field: str, kind: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown {kind} 'p3hd'; known: "):
        fit_prototypes(bodies[:5], body, PrototypeConfig(k=2, **{field: "p3hd"}))  # type: ignore[arg-type]


def test_no_bodies(body: BodyModel) -> None:
    with pytest.raises(InputError, match="bodies: there are none"):
        fit_prototypes(BodyParameters.zeros(0), body, PrototypeConfig(k=1))


def test_nan_is_named_by_row(body: BodyModel, bodies: BodyParameters) -> None:
    pose = bodies.body_pose[:5].copy()
    pose[3, 7, 1] = np.nan
    with pytest.raises(InputError, match="bodies row 3: body_pose has NaN"):
        fit_prototypes(bodies[:5].replaced(body_pose=pose), body, PrototypeConfig(k=2))


@pytest.fixture(scope="module")
def embedded(body: BodyModel) -> BodyParameters:
    return BodyParameters.concatenate([embedded_records(s, body).parameters() for s in SPLITS])


@pytest.mark.parametrize("method", ["p3dh", "naive"])
def test_the_saved_file_does_not_depend_on_threads(
    body: BodyModel, bodies: BodyParameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    config = PrototypeConfig(k=8, method=method, dims=16, max_iter=5)
    for threads in (1, 2, 5):
        monkeypatch.setattr(features, "processors", lambda n=threads: n)
        with threadpool_limits(threads):
            fit_prototypes(bodies, body, config).prototypes.save(tmp_path / str(threads))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.slow
def test_twenty_six_thousand_real_poses(
    body: BodyModel,
    shared_dir: Path,
    weights: NDArray[np.float64],
    brute_force: Callable[..., Any],
    mistakes: Callable[..., int],
) -> None:
    """The motion beside the checkout, with random heading and shape: no label differs from the brute force."""
    column = pq.read_table(shared_dir / "motion" / "poses.parquet", columns=["pose"])["pose"].combine_chunks()
    pose = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, 24, 3)
    rng = np.random.default_rng(0)
    turn = Rotation.from_euler("xy", np.stack([np.full(len(pose), np.pi), rng.uniform(-np.pi, np.pi, len(pose))], 1))
    root = (turn * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
    people = BodyParameters.of(root, pose[:, 1:], rng.normal(size=(len(pose), 10)))
    fit = fit_prototypes(people, body, PrototypeConfig(k=50, max_iter=8))
    gamma = brute_force(body, people, fit.prototypes.parameters, weights)
    assert mistakes(gamma, fit.labels.label) == 0
    assert fit.certified > 100 * fit.rechecked


@pytest.mark.slow
def test_fifty_prototypes_of_the_whole_embedded_set(
    body: BodyModel,
    embedded: BodyParameters,
    weights: NDArray[np.float64],
    brute_force: Callable[..., Any],
    mistakes: Callable[..., int],
) -> None:
    """All labels equal the brute force; P3DH is well below its rivals at the same K, by the same measure."""
    fits = {m: fit_prototypes(embedded, body, PrototypeConfig(k=50, method=m)) for m in ("p3dh", "random", "naive")}
    best = fits["p3dh"]
    gamma = brute_force(body, embedded, best.prototypes.parameters, weights)
    assert mistakes(gamma, best.labels.label) == 0
    np.testing.assert_allclose(best.labels.weighted_distance, gamma.min(axis=1), rtol=1e-6)
    assert best.certified > 100 * best.rechecked
    for name in ("random", "naive"):
        assert best.objective["assigned"] < 0.75 * fits[name].objective["assigned"]
        assert best.objective["nearest"] < 0.75 * fits[name].objective["nearest"]
