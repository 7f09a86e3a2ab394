"""The file that lets K-Means go on where it was killed: centres, history, and which run they belong to.

``starts`` saves it after every iteration and reads it at the beginning. It holds no labels and no projections: these
are computed again, in seconds, from the centres and the bodies. The bits are the same, so the results are too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError
from hmrtk.toolkit.prototypes.lloyd import Run, State
from hmrtk.toolkit.records.artefact import atomic_path, local_copy
from hmrtk.toolkit.records.remote import Place

KIND = "hmrtk.kmeans_checkpoint"
METADATA_KEY = "hmrtk"
WIDTH = 82
_STATE = ("centres", "before", "best")
"""The centres in a ``lloyd.State``."""


@dataclass(frozen=True, eq=False)
class Saved:
    """Where a run of one or several starts stands.

    Attributes:
        finished: what came of each finished start, as plain JSON values.
        champion: the best of them; None while the first is running.
        state: of the start that is running; None between two starts.
    """

    finished: tuple[dict[str, Any], ...] = ()
    champion: Run | None = None
    state: State | None = None


class Checkpoint:
    """A checkpoint file.

    Args:
        path: where it is.
        run: fingerprint of everything that decides the result; a file of another run is as good as none.
    """

    def __init__(self, path: str | Place, run: str) -> None:
        self.path, self.run = path, run

    def save(self, saved: Saved) -> None:
        """Write atomically.

        Raises:
            OutputError: the file cannot be written.
        """
        state, champion = saved.state, saved.champion
        bodies = {f"state.{name}": getattr(state, name) for name in _STATE} if state else {}
        bodies |= {"champion": champion.centres} if champion else {}
        value = {
            "kind": KIND,
            "run": self.run,
            "finished": list(saved.finished),
            "state": state and {"mean": state.best_mean, "kept": state.kept, "history": list(state.history)},
            "champion": champion
            and {
                "mean": champion.mean,
                "kept": champion.kept,
                "history": champion.history,
                "stopped": champion.stopped,
            },
        }
        tensors = {name: packed(given) for name, given in bodies.items() if given is not None}
        tensors = tensors or {"nothing": np.zeros(1, np.float32)}
        with atomic_path(self.path) as temporary:
            save_file(tensors, temporary, {METADATA_KEY: json.dumps(value)})

    def load(self) -> Saved | None:
        """What was saved; None where there is no file, a damaged one, or one of another run."""
        try:
            with local_copy(self.path) as local, safe_open(str(local), framework="numpy") as file:
                value = json.loads((file.metadata() or {})[METADATA_KEY])
                bodies = {name: unpacked(file.get_tensor(name)) for name in file.keys() if name != "nothing"}  # noqa: SIM118 - not a dict
            if value["kind"] != KIND or value["run"] != self.run:
                return None
            state, champion = value["state"], value["champion"]
            return Saved(
                tuple(value["finished"]),
                champion and Run(bodies["champion"], **champion),
                _state(bodies, state) if state else None,
            )
        except (InputError, SafetensorError, OSError, ValueError, KeyError, TypeError):
            return None


def _state(bodies: Mapping[str, BodyParameters], value: Mapping[str, Any]) -> State:
    centres, before, best = (bodies[f"state.{name}"] for name in _STATE)
    return State(centres, before, best, value["mean"], value["kept"], tuple(value["history"]))


def run_fingerprint(parameters: BodyParameters, settings: Mapping[str, Any]) -> str:
    """sha256 over N bodies, translation left out, and the settings (plain JSON values)."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for array in (parameters.global_orient, parameters.body_pose, parameters.betas):
        digest.update(np.ascontiguousarray(array, "<f4").data)
    return digest.hexdigest()


def packed(parameters: BodyParameters) -> NDArray[np.float32]:
    """(K, 82) float32: 72 axis-angle values, root first, and 10 betas."""
    return np.concatenate([parameters.pose.reshape(-1, 72), parameters.betas], axis=1)


def unpacked(rows: NDArray[np.float32]) -> BodyParameters:
    """The bodies of (K, 82) rows, at the origin."""
    return BodyParameters.of(rows[:, :3], rows[:, 3:72], rows[:, 72:])
