"""Which machine part poses bodies: ``poser_for`` is the one place where ``--device`` is decided for posing.

In: a body and ``auto``, ``cpu`` or ``cuda``; out: something with ``pose`` and ``stream``. torch is loaded only when a
GPU is asked for or looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from hmrtk.toolkit.body.model import Body, BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, UnknownNameError

DEVICES = ("auto", "cpu", "cuda")


class BulkPoser(Protocol):
    """What ``BodyModel`` (CPU kernels) and ``TorchPoser`` (a torch device) have in common."""

    def pose(self, parameters: BodyParameters, chunk: int = ...) -> Body: ...

    def stream(self, parameters: BodyParameters, chunk: int = ...) -> Iterator[tuple[slice, Body]]: ...


def poser_for(model: BodyModel, device: str = "auto") -> BulkPoser:
    """The poser of ``model`` for a device.

    Args:
        device: ``cpu``: ``model`` itself, whose kernels are faster than torch on a CPU and give the same bits for every
            chunk and thread count. ``cuda``: a ``TorchPoser`` on the first GPU, equal to 2e-6 m. ``auto``: the GPU
            when torch sees one.

    Raises:
        UnknownNameError: another name.
        InputError: ``cuda`` where torch sees no GPU.
    """
    if device not in DEVICES:
        raise UnknownNameError("device", device, DEVICES)
    if device == "cpu":
        return model
    from hmrtk.toolkit.body.torch_posing import TorchPoser, gpus

    if gpus():
        return TorchPoser(model, "cuda")
    if device == "cuda":
        raise InputError(
            "device cuda",
            "torch sees no GPU here",
            "use device auto or cpu; a GPU needs an NVIDIA driver and a CUDA build of torch",
        )
    return model
