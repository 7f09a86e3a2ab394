"""Bulk posing on a torch device: ``TorchPoser``, the GPU twin of ``BodyModel.pose`` and ``stream``.

In: ``BodyParameters``; out: ``Body`` (NumPy) or tensors that stay on the device, chunk by chunk. ``devices.poser_for``
chooses between the two. The CPU kernels of ``posing`` remain the reference: they are faster than torch on a CPU.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hmrtk.toolkit.body.arrays import POSE_FEATURE_COUNT, VERTEX_COUNT
from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BETA_COUNT, JOINT_COUNT, BodyParameters
from hmrtk.toolkit.errors import InputError

CHUNK = 1024
"""Bodies posed at a time: 85 MB of vertices in each of two host buffers, about 0.4 GB on the device."""
SMALL_ANGLE = 1e-8
"""Radians; below it a rotation is the identity plus its first-order term, to float64 precision."""


class _Precision:
    """The settings of this process that let torch round the factors of float32 products, off while anyone needs it."""

    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0

    def need(self) -> None:
        with self.lock:
            if not self.users:
                self.before = _matmul_precision(), [place.fp32_precision for place in _MATMUL]
                torch.set_float32_matmul_precision("highest")  # torch's older and newer switches, which must not differ
            self.users += 1

    def release(self) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                precision, values = self.before
                if precision is not None:
                    torch.set_float32_matmul_precision(precision)
                for place, value in zip(_MATMUL, values, strict=True):
                    if place.fp32_precision != value:
                        place.fp32_precision = value


_MATMUL = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
_precision = _Precision()


@contextmanager
def full_float32(device: torch.device | str) -> Iterator[None]:
    """While entered, float32 matrix products on ``device`` are true float32, whatever the caller has switched on.

    ``torch.set_float32_matmul_precision("high")`` (common in training scripts) lets GPUs round the factors to TF32, 11
    significant bits: up to half a millimetre per metre, far outside 2e-6 m and outside every bound of exact K-Means.
    ``medium`` and autocast do the same with bfloat16, on some CPUs too. The settings are those of the process: threads
    may be inside together, and when the last one leaves all is as before.
    """
    _precision.need()
    try:
        with torch.autocast(torch.device(device).type, enabled=False), torch.no_grad():
            yield
    finally:
        _precision.release()


def multiplies_in_full(device: torch.device | str) -> bool:
    """Whether float32 products on ``device`` keep all 24 bits of their factors inside ``full_float32``.

    They should; NVIDIA's variable ``NVIDIA_TF32_OVERRIDE`` can still force TF32 on.
    """
    factor = 1 + 2.0**-12  # 13 significant bits: TF32 keeps 11 and bfloat16 8
    with full_float32(device):
        factors = torch.full((256, 512), factor, device=device)
        products = factors @ torch.eye(512, device=device)
    return bool((products == factors).all())


def _matmul_precision() -> str | None:
    """torch's older switch; None where the newer one alone was used, after which torch refuses to say."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def gpus() -> list[str]:
    """``cuda:0``, ``cuda:1``, … as torch sees them."""
    return [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []


@dataclass(frozen=True, eq=False)
class TensorBody:
    """N posed bodies on a device.

    Attributes:
        vertices: (N, 6890, 3) float32 metres, ``transl`` added.
        joints: (N, 24, 3) float32 metres, ``transl`` added.
    """

    vertices: torch.Tensor
    joints: torch.Tensor


class TorchPoser:
    """The SMPL function of one body on a torch device, in float32; rotations and joints in float64.

    Template, shape and pose are one matrix product with a (217, 20670) basis; skinning is one with the (24, 6890)
    weights, done for one coordinate of the result at a time. Agrees with ``BodyModel.pose`` to 2e-6 m. Unlike there,
    the last bits may depend on the chunk, because BLAS chooses its order of summation by size.

    Args:
        model: the body.
        device: any torch device, such as ``cuda``, ``cuda:1`` or ``cpu``.

    Raises:
        InputError: torch does not have this device.
    """

    def __init__(self, model: BodyModel, device: str = "cuda") -> None:
        self.model, self.device = model, _device(device)
        arrays = model.arrays
        rest = arrays.joint_regressor @ arrays.v_template.astype(np.float64)  # (24, 3)
        directions = arrays.joint_regressor @ arrays.shapedirs.astype(np.float64).reshape(VERTEX_COUNT, -1)
        self._rest, self._directions = self._held(rest), self._held(directions)  # (24, 3), (24, 30) float64
        basis = np.concatenate([arrays.shapedirs, arrays.posedirs], axis=2)  # (V, 3, 217)
        self._basis = self._held(
            basis.transpose(2, 1, 0).reshape(BETA_COUNT + POSE_FEATURE_COUNT, -1)
        )  # x, y, z planes
        self._template = self._held(arrays.v_template.T.reshape(-1))  # (3 V,)
        self._weights = self._held(arrays.weights.T)  # (24, V)
        self._levels = [[torch.tensor(part, device=self.device) for part in pair] for pair in _levels(arrays.parents)]

    def pose(self, parameters: BodyParameters, chunk: int = CHUNK) -> Body:
        """Pose all bodies into NumPy arrays: 83 kB per body; use ``stream`` for many."""
        n = len(parameters)
        body = Body(np.empty((n, VERTEX_COUNT, 3), np.float32), np.empty((n, JOINT_COUNT, 3), np.float32))
        for rows, posed in self.stream(parameters, chunk):
            body.vertices[rows], body.joints[rows] = posed.vertices, posed.joints
        return body

    def stream(self, parameters: BodyParameters, chunk: int = CHUNK) -> Iterator[tuple[slice, Body]]:
        """Pose in chunks with bounded memory: yields the rows and their bodies as NumPy arrays, in order.

        While the caller works on one chunk, a GPU poses the next and copies it into the other of two pinned buffers.
        The buffers are used again: copy what you keep.
        """
        slices = _slices(len(parameters), chunk)
        buffers = [_HostBuffer(min(chunk, len(parameters)), self.device) for _ in slices[:2]]
        for i, rows in enumerate(slices):
            if i == 0:
                self._fill(buffers[0], parameters[rows])
            if i + 1 < len(slices):
                self._fill(buffers[(i + 1) % 2], parameters[slices[i + 1]])
            yield rows, buffers[i % 2].body(rows.stop - rows.start)

    def stream_tensors(self, parameters: BodyParameters, chunk: int = CHUNK) -> Iterator[tuple[slice, TensorBody]]:
        """As ``stream``, with tensors that stay on the device; each chunk has its own."""
        for rows in _slices(len(parameters), chunk):
            yield rows, self.pose_tensors(parameters[rows])

    def pose_tensors(self, parameters: BodyParameters) -> TensorBody:
        """Pose all bodies at once on the device: (N, 6890, 3) and (N, 24, 3) float32 metres."""
        with full_float32(self.device):
            pose, betas, transl = (
                self._sent(array) for array in (parameters.pose, parameters.betas, parameters.transl)
            )
            rotations = _rotations(pose.double())  # (N, 24, 3, 3)
            transforms, joints = self._kinematics(rotations, betas.double(), transl.double())
            return TensorBody(self._skinned(rotations, betas, transforms.float()), joints.float())

    def _fill(self, buffer: _HostBuffer, parameters: BodyParameters) -> None:
        buffer.take(self.pose_tensors(parameters))

    def _kinematics(
        self, rotations: torch.Tensor, betas: torch.Tensor, transl: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Skinning transforms (N, 24, 3, 4) and joints (N, 24, 3), float64, one level of the skeleton at a time."""
        n = len(betas)
        shape = (betas @ self._directions.reshape(-1, BETA_COUNT).T).reshape(n, JOINT_COUNT, 3)
        rest = self._rest + shape
        world, joints = torch.empty_like(rotations), torch.empty_like(rest)
        world[:, 0], joints[:, 0] = rotations[:, 0], rest[:, 0] + transl
        for children, parents in self._levels:
            world[:, children] = world[:, parents] @ rotations[:, children]
            bones = (rest[:, children] - rest[:, parents])[..., None]
            joints[:, children] = joints[:, parents] + (world[:, parents] @ bones)[..., 0]
        offset = joints[..., None] - world @ rest[..., None]  # (N, 24, 3, 1)
        return torch.cat([world, offset], dim=-1), joints

    def _skinned(self, rotations: torch.Tensor, betas: torch.Tensor, transforms: torch.Tensor) -> torch.Tensor:
        """(N, 6890, 3) float32 from rotations (N, 24, 3, 3), betas (N, 10) and transforms (N, 24, 3, 4)."""
        n = len(betas)
        turned = rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=self.device)
        features = torch.cat([betas, turned.float().reshape(n, -1)], dim=1)  # (N, 217)
        shaped = torch.addmm(self._template, features, self._basis).reshape(n, 3, VERTEX_COUNT)
        vertices = torch.empty((n, VERTEX_COUNT, 3), dtype=torch.float32, device=self.device)
        for i in range(3):
            row = transforms[:, :, i].transpose(1, 2).reshape(4 * n, JOINT_COUNT)
            blended = (row @ self._weights).reshape(n, 4, VERTEX_COUNT)
            vertices[..., i] = (blended[:, :3] * shaped).sum(dim=1) + blended[:, 3]
        return vertices

    def _held(self, array: NDArray[np.floating]) -> torch.Tensor:
        """A table of the body, on the device for good."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _sent(self, array: NDArray[np.float32]) -> torch.Tensor:
        """Parameters on the device; a GPU fetches them from pinned memory without being waited for."""
        tensor = torch.from_numpy(np.array(array, np.float32, order="C"))
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)


class _HostBuffer:
    """Where one chunk lands on the host: pinned for a GPU, so that copying runs beside the caller's work."""

    def __init__(self, size: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        self.vertices = torch.empty((size, VERTEX_COUNT, 3), dtype=torch.float32, pin_memory=pinned)
        self.joints = torch.empty((size, JOINT_COUNT, 3), dtype=torch.float32, pin_memory=pinned)
        self.device, self.ready = device, torch.cuda.Event() if pinned else None

    def take(self, body: TensorBody) -> None:
        """Start copying a body here."""
        n = len(body.joints)
        self.vertices[:n].copy_(body.vertices, non_blocking=self.ready is not None)
        self.joints[:n].copy_(body.joints, non_blocking=self.ready is not None)
        if self.ready is not None:
            self.ready.record(torch.cuda.current_stream(self.device))

    def body(self, n: int) -> Body:
        """The first n bodies, once they have arrived."""
        if self.ready is not None:
            self.ready.synchronize()
        return Body(self.vertices[:n].numpy(), self.joints[:n].numpy())


def _rotations(pose: torch.Tensor) -> torch.Tensor:
    """Rodrigues' formula: (..., 3) axis-angle in radians to (..., 3, 3), R = c I + s [a] + (1 - c) a aᵀ."""
    angle = torch.linalg.vector_norm(pose, dim=-1, keepdim=True)  # (..., 1)
    small = angle < SMALL_ANGLE
    axis = torch.where(small, pose, pose / torch.where(small, torch.ones_like(angle), angle))
    sine = torch.where(small, torch.ones_like(angle), torch.sin(angle))[..., None]
    cosine = torch.where(small, torch.ones_like(angle), torch.cos(angle))[..., None]
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*pose.shape, 3)
    outer = axis[..., :, None] * axis[..., None, :]
    return cosine * torch.eye(3, dtype=pose.dtype, device=pose.device) + sine * cross + (1 - cosine) * outer


def _levels(parents: NDArray[np.int32]) -> list[tuple[list[int], list[int]]]:
    """Joints and their parents, by distance from the root: all of one level are posed together."""
    depth = [0] * len(parents)
    for joint in range(1, len(parents)):
        depth[joint] = depth[parents[joint]] + 1
    levels = []
    for level in range(1, max(depth) + 1):
        children = [joint for joint in range(len(parents)) if depth[joint] == level]
        levels.append((children, [int(parents[joint]) for joint in children]))
    return levels


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {name}", f"torch cannot use it: {str(error).splitlines()[0]}", "use cpu") from None
    return device


def _slices(n: int, chunk: int) -> list[slice]:
    if chunk < 1:
        raise InputError("chunk", f"expected at least 1, got {chunk}")
    return [slice(start, min(start + chunk, n)) for start in range(0, n, chunk)]
