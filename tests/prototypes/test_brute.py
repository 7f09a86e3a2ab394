"""Exact assignment in full dimension: the GPU's code path on torch's CPU device, against brute force in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError
from hmrtk.toolkit.prototypes import brute
from hmrtk.toolkit.prototypes.brute import FullAssigner, check_device, full_space, torch_devices
from hmrtk.toolkit.prototypes.certificate import Assignment, ExactAssigner
from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.lloyd import run_lloyd
from hmrtk.toolkit.prototypes.population import LocalPopulation
from hmrtk.toolkit.prototypes.projection import fit_space

N, K = 600, 20
Brute = Callable[..., NDArray[np.float64]]
Mistakes = Callable[..., int]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")


@pytest.fixture(scope="module")
def bodies(people: BodyParameters) -> BodyParameters:
    return people[:N]


@pytest.fixture(scope="module")
def full(body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64]) -> FullAssigner:
    return FullAssigner(full_space(body, bodies, weights), bodies, "cpu")


def near_ties(bodies: BodyParameters) -> BodyParameters:
    """40 centres: 20 bodies, and the same a hundred thousandth of a radian away."""
    centres = bodies[np.arange(0, 200, 10)]
    turned = centres.replaced(body_pose=centres.body_pose + np.float32(1e-5))
    return BodyParameters.concatenate([centres, turned])


def test_every_label_of_every_iteration_is_the_brute_force_one(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], full: FullAssigner, brute_force: Brute,
    mistakes: Mistakes,
) -> None:  # fmt: skip
    space = fit_space(body, bodies, weights, np.random.default_rng(3))
    projected = ExactAssigner(space, bodies, space.project(bodies), "cpu")
    rounds: list[Assignment] = []

    class Checked:
        device = "cpu"

        def assign(self, centres: BodyParameters) -> Assignment:
            found = full.assign(centres)
            assert mistakes(brute_force(body, bodies, centres, weights), found.label) == 0
            np.testing.assert_array_equal(found.label, projected.assign(centres).label)
            assert found.certified + found.rechecked == N
            assert found.counts.tolist() == np.bincount(found.label, minlength=K).tolist()
            rounds.append(found)
            return found

    run_lloyd(LocalPopulation(Checked(), bodies), bodies[np.arange(K)], max_iter=8, tol=0)
    assert len(rounds) >= 5
    assert max(found.rechecked for found in rounds) < 0.02 * N


def test_bounds_hold_and_full_comparison_closes_them(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], full: FullAssigner, brute_force: Brute
) -> None:
    centres = near_ties(bodies)
    found = full.assign(centres)
    gamma = brute_force(body, bodies, centres, weights)[np.arange(N), found.label]
    rounding = 1e-11 * gamma.max()  # of the brute force itself
    assert (found.lower <= gamma + rounding).all()
    assert (gamma <= found.upper + rounding).all()
    closed = found.lower == found.upper
    assert 0 < closed.sum() == found.rechecked
    assert not found.rounding.any()
    assert found.mean == pytest.approx(gamma.mean(), rel=1e-3)


def test_centres_closer_than_float16_can_tell_are_told_apart(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], full: FullAssigner, brute_force: Brute,
    mistakes: Mistakes, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    centres = near_ties(bodies)
    gamma, found = brute_force(body, bodies, centres, weights), full.assign(centres)
    assert mistakes(gamma, found.label) == 0
    assert found.rechecked > N // 2
    monkeypatch.setattr(full._stores[0], "error", torch.zeros_like(full._stores[0].error))
    monkeypatch.setattr(brute, "FLOAT32_ROUNDING", 0.0)
    assert mistakes(gamma, full.assign(centres).label) > 0  # without the bounds there would be mistakes to find


def test_devices_share_the_bodies(bodies: BodyParameters, full: FullAssigner) -> None:
    centres, expected = near_ties(bodies), full.assign(near_ties(bodies))
    done: list[int] = []
    shared = FullAssigner(
        full.space, bodies, devices=("cpu",) * 3, chunk=64, progress=lambda stage, n, total, note="": done.append(n)
    )
    found = shared.assign(centres)
    assert [len(store.values) for store in shared._stores] == [200, 200, 200]
    assert done[-1] == N
    for name in ("label", "counts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.upper, expected.upper, rtol=1e-6)
    assert found.certified + found.rechecked == N


def test_small_steps_change_nothing(
    bodies: BodyParameters, full: FullAssigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    centres = bodies[np.arange(K)]
    expected = full.assign(centres).label
    for name, value in (("ROWS", 77), ("WIDTH", 1000), ("PART", 3)):
        monkeypatch.setattr(brute, name, value)
    np.testing.assert_array_equal(full.assign(centres).label, expected)


def test_equal_centres_go_to_the_lowest_index_without_a_second_look(bodies: BodyParameters, full: FullAssigner) -> None:
    found = full.assign(bodies[np.array([5, 7, 5, 7, 5])])
    assert set(found.label) == {0, 1}
    assert found.rechecked < 0.02 * N
    np.testing.assert_array_equal(found.label, full.assign(bodies[[5, 7]]).label)


def test_one_centre_takes_all(bodies: BodyParameters, full: FullAssigner) -> None:
    found = full.assign(bodies[[3]])
    assert found.certified == N
    assert not found.label.any()


def test_a_centre_that_is_a_sample_is_at_distance_zero_from_it(bodies: BodyParameters, full: FullAssigner) -> None:
    found = full.assign(bodies[np.arange(30)])
    np.testing.assert_array_equal(found.label[:30], np.arange(30))
    assert (found.lower[:30] == 0).all()


def test_translation_is_left_out(bodies: BodyParameters, full: FullAssigner) -> None:
    moved = bodies.replaced(transl=np.random.default_rng(0).normal(size=(N, 3)) * 5)
    found = FullAssigner(full.space, moved, "cpu").assign(moved[np.arange(15)])
    np.testing.assert_array_equal(found.label, full.assign(bodies[np.arange(15)]).label)


def test_bodies_that_are_all_the_same(body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64]) -> None:
    same = bodies[np.full(9, 4)]
    found = FullAssigner(full_space(body, same, weights), same, "cpu").assign(bodies[[4, 4, 100]])
    assert not found.label.any()
    assert found.counts.tolist() == [9, 0, 0]
    assert found.upper.max() < 1e-6


@pytest.mark.parametrize("size", [1e-25, 1e-3, 1.0, 10.0, 1e6])
def test_float16_holds_any_body_and_the_loss_is_measured(size: float) -> None:
    """Coordinates of up to ``size`` metres with weights of 0.3 to 5, one zero body, one with a single coordinate."""
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-size, size, (20, 6890, 3)).astype(np.float32)
    vertices[3], vertices[4] = 0, 0
    vertices[4, 17, 1] = size
    weights = rng.choice([0.3, 0.5, 1.0, 5.0], 6890)
    mean = (vertices[5].astype(np.float64) * weights[:, None]).reshape(-1)
    for origin in (np.zeros_like(mean), mean):
        store = brute._Store(slice(0, 20), 20670, "cpu")
        store.put(0, *(torch.from_numpy(a) for a in (vertices, weights, origin)))
        exact = (vertices.astype(np.float64) * weights[:, None]).reshape(20, -1) - origin
        stored = store.values.numpy()
        assert np.isfinite(stored).all()
        assert np.abs(stored).max() <= 2**14
        kept = stored.astype(np.float64) * store.scale.numpy()[:, None]
        largest = np.abs(exact).max(axis=1, keepdims=True)
        assert (np.abs(kept - exact) <= 2.0**-11 * np.abs(exact) + 2.0**-38 * largest).all()
        lost = np.linalg.norm(kept - exact, axis=1)
        error = store.error.numpy()
        assert (lost <= error).all()
        np.testing.assert_allclose(error, lost, rtol=1e-3, atol=1e-14 * 6e2 * size)
        np.testing.assert_allclose(store.square.numpy(), (kept**2).sum(axis=1), rtol=1e-12)


def test_bodies_ten_metres_wide_with_heavy_limbs(
    body: BodyModel, bodies: BodyParameters, weights: NDArray[np.float64], brute_force: Brute, mistakes: Mistakes
) -> None:
    arrays = body.arrays
    giant = BodyModel(replace(arrays, v_template=arrays.v_template * 10, posedirs=arrays.posedirs * 10))
    few, heavy = bodies[:150], weights * 100
    assert np.abs(giant.pose(few).vertices).max() > 8
    found = FullAssigner(full_space(giant, few, heavy), few, "cpu").assign(few[:K])
    assert mistakes(brute_force(giant, few, few[:K], heavy), found.label) == 0
    assert found.rechecked < 0.05 * 150


def test_products_are_within_their_bound(full: FullAssigner, bodies: BodyParameters) -> None:
    centres = full._centres(torch.device("cpu"), full.space.body.pose(bodies[:K]).vertices)
    store = full._stores[0]
    for values in (store.values, torch.full_like(store.values, 16383.0)):
        store = brute._Store(slice(0, N), 20670, "cpu")
        store.values[:] = values
        exact = values.double() @ centres.values.double().T
        lengths = torch.linalg.vector_norm(values.double(), dim=1)[:, None] * centres.square.sqrt()
        wrong = (store._products(slice(0, N), centres.values) - exact).abs()
        assert (wrong <= brute.WIDTH * 2.0**-24 * lengths).all()
        assert wrong.max() > 0


def test_centres_are_described_truly(full: FullAssigner, bodies: BodyParameters) -> None:
    posed = full.space.body.pose(bodies[[0, 1, 0, 2]].replaced(transl=np.zeros((4, 3)))).vertices
    centres = full._centres(torch.device("cpu"), posed)
    exact = (posed.astype(np.float64) * full.space.weights[:, None]).reshape(4, -1) - full.space.mean
    kept = centres.values.double().numpy()
    assert np.linalg.norm(exact - kept, axis=1).max() <= centres.error < 1e-5
    apart = np.linalg.norm(kept[:, None] - kept, axis=2)
    assert (centres.apart.numpy() >= apart).all()
    np.testing.assert_allclose(centres.apart.numpy(), apart, atol=1e-3)
    assert centres.again.tolist() == [False, False, True, False]


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_devices("cpu") == ["cpu"]
    monkeypatch.setattr(brute, "gpus", lambda: ["cuda:0", "cuda:1"])
    assert torch_devices("auto") == torch_devices("cuda") == ["cuda:0", "cuda:1"]
    monkeypatch.setattr(brute, "gpus", list)
    assert torch_devices("auto") == ["cpu"]
    with pytest.raises(InputError, match="device cuda: torch sees no GPU here"):
        torch_devices("cuda")
    with pytest.raises(UnknownNameError, match="unknown device 'gpu'"):
        torch_devices("gpu")


def test_too_many_bodies_for_a_device_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"device cpu: 1000000000 bodies in full need 41365\.5 GB.*use search pca"):
        check_device(10**9, 20670, "cpu")
    monkeypatch.setattr(brute, "multiplies_in_full", lambda device: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (8_000_000_000, 16_000_000_000))
    with pytest.raises(InputError, match=r"device cuda:1: 312188 bodies in full need 14\.4 GB, there are 8\.0 GB"):
        check_device(312_188, 20670, "cuda:1")
    check_device(100_000, 20670, "cuda:1")


def test_a_device_that_rounds_factors_is_refused(
    full: FullAssigner, bodies: BodyParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brute, "multiplies_in_full", lambda device: False)
    with pytest.raises(InputError, match=r"device cpu: rounds the factors of float32 products.*NVIDIA_TF32_OVERRIDE"):
        FullAssigner(full.space, bodies, "cpu")


@needs_gpu
def test_gpu_finds_what_the_cpu_finds(bodies: BodyParameters, full: FullAssigner) -> None:
    on_gpu = FullAssigner(full.space, bodies, "cuda")
    for centres in (bodies[np.arange(K)], near_ties(bodies)):
        found, expected = on_gpu.assign(centres), full.assign(centres)
        np.testing.assert_array_equal(found.label, expected.label)
        assert found.certified + found.rechecked == N


@needs_gpu
def test_gpu_products_are_within_their_bound_even_if_tf32_is_allowed(
    bodies: BodyParameters, full: FullAssigner
) -> None:
    torch.set_float32_matmul_precision("high")
    try:
        on_gpu = FullAssigner(full.space, bodies, "cuda")
        centres = on_gpu._centres(torch.device("cuda"), full.space.body.pose(bodies[:K]).vertices)
        store = on_gpu._stores[0]
        exact = store.values.double() @ centres.values.double().T
        lengths = torch.linalg.vector_norm(store.values.double(), dim=1)[:, None] * centres.square.sqrt()
        wrong = (store._products(slice(0, N), centres.values) - exact).abs()
        assert (wrong <= brute.WIDTH * 2.0**-24 * lengths).all()
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("init", ["random", "k-means++"])
def test_kmeans_is_the_same_in_full_and_in_a_few_directions(body: BodyModel, bodies: BodyParameters, init: str) -> None:
    few = bodies[:200]
    config = PrototypeConfig(k=6, init=init, max_iter=4, tol=0, device="cpu")
    expected, found = (fit_prototypes(few, body, replace(config, search=search)) for search in ("pca", "full"))
    np.testing.assert_array_equal(found.labels.label, expected.labels.label)
    np.testing.assert_array_equal(found.prototypes.parameters.body_pose, expected.prototypes.parameters.body_pose)
    assert found.prototypes.metadata["search"] == "full"
    assert found.prototypes.metadata["device"] == "cpu"
    assert found.certified + found.rechecked == 200 * len(found.history)


def test_unknown_search_lists_the_known(body: BodyModel, bodies: BodyParameters) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown search 'fast'; known: .*pca"):
        fit_prototypes(bodies, body, PrototypeConfig(k=2, search="fast"))


def test_full_search_on_a_gpu_needs_torch_to_see_one(bodies: BodyParameters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brute, "gpus", list)
    with pytest.raises(InputError, match="device cuda: torch sees no GPU here"):
        PrototypeConfig(k=2, search="full", device="cuda").check(len(bodies))
