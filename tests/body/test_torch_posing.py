"""Posing with torch on its CPU device: the same code path as on a GPU, against the CPU kernels and smplx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from hmrtk.toolkit.body import torch_posing
from hmrtk.toolkit.body.devices import poser_for
from hmrtk.toolkit.body.layer import body_layer
from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.body.torch_posing import TensorBody, TorchPoser, full_float32, gpus, multiplies_in_full
from hmrtk.toolkit.errors import InputError, UnknownNameError

Draw = Callable[[int, int], BodyParameters]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU here")


@pytest.fixture(scope="module")
def poser(body: BodyModel) -> TorchPoser:
    return TorchPoser(body, "cpu")


def check_agreement(poser: TorchPoser, parameters: BodyParameters) -> None:
    expected, found = poser.model.pose(parameters), poser.pose(parameters, chunk=16)
    assert np.abs(found.vertices - expected.vertices).max() <= 2e-6
    assert np.abs(found.joints - expected.joints).max() <= 2e-6


def test_equals_the_cpu_kernels_to_two_micrometres(poser: TorchPoser, random_parameters: Draw) -> None:
    parameters = random_parameters(50, 1)
    check_agreement(poser, parameters.replaced(transl=np.clip(parameters.transl, -1, 1)))


def test_equals_smplx(poser: TorchPoser, random_parameters: Draw) -> None:
    parameters = random_parameters(8, 2)
    layer = body_layer(poser.model, 8)
    names = ("global_orient", "body_pose", "betas", "transl")
    expected = layer(**{n: torch.from_numpy(getattr(parameters, n).reshape(8, -1)) for n in names})
    found = poser.pose(parameters)
    np.testing.assert_allclose(found.vertices, expected.vertices.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.joints, expected.joints[:, :24].numpy(), atol=1e-5)


def test_a_t_pose_is_the_template(poser: TorchPoser) -> None:
    np.testing.assert_allclose(poser.pose(BodyParameters.zeros(1)).vertices[0], poser.model.v_template, atol=1e-6)


def test_all_bodies_of_all_genders(random_parameters: Draw, gendered_models: dict[str, BodyModel]) -> None:
    for model in gendered_models.values():
        check_agreement(TorchPoser(model, "cpu"), random_parameters(5, 3).replaced(transl=np.zeros((5, 3))))


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_stream_gives_every_row_once_and_in_order(poser: TorchPoser, random_parameters: Draw, chunk: int) -> None:
    parameters = random_parameters(7, 4)
    expected, stops = poser.pose(parameters, 7), [0]
    for rows, part in poser.stream(parameters, chunk):
        assert rows.start == stops[-1]
        stops.append(rows.stop)
        np.testing.assert_allclose(part.vertices, expected.vertices[rows], atol=2e-6)
        np.testing.assert_allclose(part.joints, expected.joints[rows], atol=1e-6)
    assert stops[-1] == 7
    assert max(np.diff(stops)) <= chunk


def test_tensors_are_what_numpy_gets(poser: TorchPoser, random_parameters: Draw) -> None:
    parameters = random_parameters(5, 5)
    expected = poser.pose(parameters, 2)
    for rows, part in poser.stream_tensors(parameters, 2):
        assert isinstance(part, TensorBody)
        assert part.vertices.device.type == "cpu"
        np.testing.assert_array_equal(part.vertices.numpy(), expected.vertices[rows])
        np.testing.assert_array_equal(part.joints.numpy(), expected.joints[rows])


def test_no_bodies(poser: TorchPoser) -> None:
    assert poser.pose(BodyParameters.zeros(0)).vertices.shape == (0, 6890, 3)
    assert list(poser.stream(BodyParameters.zeros(0))) == []


def test_memory_does_not_grow_with_the_number_of_bodies(
    poser: TorchPoser, random_parameters: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    posed = poser.pose_tensors

    def counted(parameters: BodyParameters) -> TensorBody:
        sizes.append(len(parameters))
        return posed(parameters)

    monkeypatch.setattr(poser, "pose_tensors", counted)
    addresses = {part.vertices.ctypes.data for _, part in poser.stream(random_parameters(9, 6), 2)}
    assert sizes == [2, 2, 2, 2, 1]
    assert len(addresses) == 2  # two buffers, used again and again


MATMUL = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)


def precision_settings() -> tuple[Any, ...]:
    return torch.get_float32_matmul_precision(), *(place.fp32_precision for place in MATMUL)


@pytest.fixture
def settings_kept() -> Iterator[None]:
    start = precision_settings()
    yield
    torch.set_float32_matmul_precision(start[0])
    for place, value in zip(MATMUL, start[1:], strict=True):
        place.fp32_precision = value


@pytest.mark.usefixtures("settings_kept")
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_reduced_precision_is_off_inside_and_as_before_afterwards(
    poser: TorchPoser, random_parameters: Draw, precision: str
) -> None:
    torch.set_float32_matmul_precision(precision)
    before = precision_settings()
    with full_float32("cpu"):
        assert precision_settings() == ("highest", "ieee", "ieee")
        assert not torch.backends.cuda.matmul.allow_tf32
    assert precision_settings() == before
    with torch.autocast("cpu", torch.bfloat16):
        check_agreement(poser, random_parameters(4, 7).replaced(transl=np.zeros((4, 3))))
    assert precision_settings() == before


def test_rounded_factors_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert multiplies_in_full("cpu")

    @contextmanager
    def rounding(device: str) -> Iterator[None]:
        with torch.autocast("cpu", torch.bfloat16):
            yield

    monkeypatch.setattr(torch_posing, "full_float32", rounding)
    assert not multiplies_in_full("cpu")


@pytest.mark.usefixtures("settings_kept")
def test_threads_inside_together_keep_full_precision_until_the_last_leaves() -> None:
    torch.set_float32_matmul_precision("high")
    before = precision_settings()
    one, other = full_float32("cpu"), full_float32("cpu")
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:  # gradients are off per thread
        first.submit(one.__enter__).result()
        second.submit(other.__enter__).result()
        first.submit(one.__exit__, None, None, None).result()
        assert precision_settings() == ("highest", "ieee", "ieee")
        second.submit(other.__exit__, None, None, None).result()
    assert precision_settings() == before


def test_precision_is_put_back_after_an_error() -> None:
    before = precision_settings()
    with pytest.raises(ZeroDivisionError), full_float32("cpu"):
        raise ZeroDivisionError
    assert precision_settings() == before


@pytest.mark.usefixtures("settings_kept")
def test_precision_set_by_torchs_newer_switch_is_put_back() -> None:
    MATMUL[0].fp32_precision = "tf32"
    with full_float32("cpu"):
        assert MATMUL[0].fp32_precision == "ieee"
    assert MATMUL[0].fp32_precision == "tf32"


def test_the_device_decides_who_poses(body: BodyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert poser_for(body, "cpu") is body
    with pytest.raises(UnknownNameError, match="unknown device 'gpu'"):
        poser_for(body, "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert poser_for(body, "auto") is body
    with pytest.raises(InputError, match="device cuda: torch sees no GPU here \\(use device auto or cpu"):
        poser_for(body, "cuda")


def test_a_device_that_torch_does_not_have_is_named(body: BodyModel) -> None:
    with pytest.raises(InputError, match=r"device nowhere: torch cannot use it: .*\(use cpu\)"):
        TorchPoser(body, "nowhere")


def test_bad_chunk_is_refused(poser: TorchPoser) -> None:
    with pytest.raises(InputError, match="chunk: expected at least 1, got 0"):
        poser.pose(BodyParameters.zeros(1), 0)


@needs_gpu
@pytest.mark.usefixtures("settings_kept")
def test_gpu_equals_the_cpu_kernels(body: BodyModel, random_parameters: Draw) -> None:
    assert isinstance(poser_for(body, "auto"), TorchPoser)
    poser = TorchPoser(body, gpus()[0])
    assert multiplies_in_full(poser.device)
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        check_agreement(poser, random_parameters(50, 1).replaced(transl=np.zeros((50, 3))))


@needs_gpu
def test_gpu_streams_what_it_poses(body: BodyModel, random_parameters: Draw) -> None:
    poser, parameters = TorchPoser(body, "cuda"), random_parameters(200, 3)
    expected = poser.pose_tensors(parameters).vertices.cpu().numpy()
    for rows, part in poser.stream(parameters, 32):
        np.testing.assert_allclose(part.vertices, expected[rows], atol=2e-6)
