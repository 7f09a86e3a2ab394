"""Several starts, starting from given prototypes, and going on from a checkpoint to the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import BodyMismatchError, InputError
from hmrtk.toolkit.prototypes.checkpoint import Checkpoint, Saved, packed, run_fingerprint, unpacked
from hmrtk.toolkit.prototypes.kmeans import Fit, PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.lloyd import Run, State
from hmrtk.toolkit.prototypes.prototype_set import PrototypeSet


class Killed(Exception):
    """Stands for a kill in the middle of an iteration."""


def same(a: Fit, b: Fit) -> bool:
    arrays = [(x.prototypes.parameters.pose, x.prototypes.betas, x.labels.label, x.labels.distance) for x in (a, b)]
    return all(p.tobytes() == q.tobytes() for p, q in zip(*arrays, strict=True)) and a.history == b.history


def test_the_best_of_several_starts_is_kept(body: BodyModel, bodies: BodyParameters) -> None:
    config = PrototypeConfig(k=6, dims=24, n_init=4, tol=0.01)
    best = fit_prototypes(bodies, body, config)
    starts = best.prototypes.metadata["starts"]
    means = [entry["mean_distance"] for entry in starts]
    assert len(set(means)) > 1
    kept = best.history[best.prototypes.metadata["kept_iteration"]]
    assert kept["mean_distance"] == min(means)
    first = fit_prototypes(bodies, body, PrototypeConfig(k=6, dims=24, tol=0.01))
    assert first.history[first.prototypes.metadata["kept_iteration"]]["mean_distance"] == means[0]
    assert "starts" not in first.prototypes.metadata


def test_its_own_result_converges_at_once(body: BodyModel, bodies: BodyParameters, tmp_path: Path) -> None:
    config = PrototypeConfig(k=6, dims=24, tol=0)
    done = fit_prototypes(bodies, body, config)
    assert done.prototypes.metadata["stopped"] == "labels"
    done.prototypes.save(tmp_path / "p.safetensors")
    again = fit_prototypes(bodies, body, config, start=PrototypeSet.load(tmp_path / "p.safetensors"))
    assert again.iterations <= 1
    np.testing.assert_array_equal(again.labels.label, done.labels.label)
    assert again.prototypes.metadata["provenance"]["inputs"]["start"] == done.prototypes.fingerprint


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (PrototypeConfig(k=5), "has 4 prototypes, expected k = 5"),
        (PrototypeConfig(k=4, method="naive"), "method naive does not start from prototypes"),
        (PrototypeConfig(k=4, n_init=2), "n_init: is 2, but a given start is the same every time"),
        (PrototypeConfig(k=4, n_init=0), "n_init: is 0, expected at least 1"),
    ],
)
def test_a_start_that_does_not_fit(
    body: BodyModel, bodies: BodyParameters, config: PrototypeConfig, message: str
) -> None:
    start = PrototypeSet.of(bodies[:4], {"body": body.fingerprint}, singular=bodies[:1])
    with pytest.raises(InputError, match=message):
        fit_prototypes(bodies, body, config, start=start)


def test_a_start_on_another_body(body: BodyModel, bodies: BodyParameters) -> None:
    start = PrototypeSet.of(bodies[:4], {"body": "another"}, singular=bodies[:1])
    with pytest.raises(BodyMismatchError, match="another"):
        fit_prototypes(bodies, body, PrototypeConfig(k=4), start=start)


@pytest.mark.parametrize("stop_at", [(1, 0), (1, 3), (2, 0), (2, 2)])
def test_a_killed_run_goes_on_to_the_same_bits(
    body: BodyModel, bodies: BodyParameters, tmp_path: Path, stop_at: tuple[int, int]
) -> None:
    config = PrototypeConfig(k=6, dims=24, n_init=2, max_iter=5, tol=0)
    expected = fit_prototypes(bodies, body, config)
    file = tmp_path / "run.checkpoint"
    seen: list[tuple[int, int]] = []

    def kill(stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "K-Means":
            seen.append((int(note.split()[1]), done))
            if seen[-1] == stop_at:
                raise Killed

    with pytest.raises(Killed):
        fit_prototypes(bodies, body, config, kill, checkpoint=file)
    assert file.exists() == (stop_at != (1, 0))
    iterations = len(seen)
    resumed: list[int] = []
    again = fit_prototypes(bodies, body, config, lambda s, *_: resumed.append(s == "K-Means"), checkpoint=file)
    assert same(again, expected)
    assert again.prototypes.metadata["starts"] == expected.prototypes.metadata["starts"]
    assert sum(resumed) <= 14 - iterations + 1  # what was done is not done again


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_no_checkpoint(
    body: BodyModel, bodies: BodyParameters, tmp_path: Path
) -> None:
    file = tmp_path / "run.checkpoint"
    config = PrototypeConfig(k=6, dims=24, max_iter=2, tol=0)
    expected = fit_prototypes(bodies, body, config)
    for before in (PrototypeConfig(k=6, dims=24, max_iter=2, tol=0, seed=9), PrototypeConfig(k=7, dims=24, max_iter=2)):
        fit_prototypes(bodies, body, before, checkpoint=file)
        assert same(fit_prototypes(bodies, body, config, checkpoint=file), expected)
    for damaged in (b"", b"nonsense" * 9, file.read_bytes()[:-50]):
        file.write_bytes(damaged)
        assert same(fit_prototypes(bodies, body, config, checkpoint=file), expected)


def test_other_bodies_or_settings_are_another_run(bodies: BodyParameters) -> None:
    plain = run_fingerprint(bodies, {"k": 1})
    moved = bodies.replaced(transl=bodies.transl + 1)
    assert plain == run_fingerprint(moved, {"k": 1})
    assert len({plain, run_fingerprint(bodies, {"k": 2}), run_fingerprint(bodies[1:], {"k": 1})}) == 3


def test_a_checkpoint_returns_what_was_saved(bodies: BodyParameters, tmp_path: Path) -> None:
    still = bodies.replaced(transl=np.zeros_like(bodies.transl))
    entry = {"iteration": 0, "mean_distance": 0.1 + 0.2}
    state = State(still[:3], still[3:6], still[6:9], 1 / 3, 4, (entry,))
    file = Checkpoint(tmp_path / "c", "run")
    assert file.load() is None
    file.save(Saved(({"stopped": "tol"},), Run(still[9:12], 2 / 3, [entry], "tol", 1), state))
    got = file.load()
    assert got is not None
    assert got.state is not None
    assert got.champion is not None
    assert got.finished == ({"stopped": "tol"},)
    assert (got.state.best_mean, got.state.kept, got.state.history) == (1 / 3, 4, (entry,))
    assert (got.champion.mean, got.champion.stopped, got.champion.kept) == (2 / 3, "tol", 1)
    for one, other in (
        (got.state.before, still[3:6]),
        (got.state.best, still[6:9]),
        (got.champion.centres, still[9:12]),
    ):
        assert one is not None
        assert packed(one).tobytes() == packed(other).tobytes()
    assert Checkpoint(tmp_path / "c", "other").load() is None
    file.save(Saved())
    between = file.load()
    assert between is not None
    assert between.state is between.champion is None
    np.testing.assert_array_equal(unpacked(packed(still)).pose, still.pose)
