"""The sweep over K and limb weights: what is tried, what is measured, and that finished fits are not made again."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hmrtk.toolkit.body.model import BodyModel
from hmrtk.toolkit.body.parameters import BodyParameters
from hmrtk.toolkit.errors import InputError, OutputError
from hmrtk.toolkit.prototypes import sweep as module
from hmrtk.toolkit.prototypes.kmeans import PrototypeConfig, fit_prototypes
from hmrtk.toolkit.prototypes.measure import assign
from hmrtk.toolkit.prototypes.sweep import (
    Setting,
    Split,
    SweepConfig,
    agreement,
    measured_run,
    packed,
    plan,
    run_sweep,
    unpacked,
)

TINY = SweepConfig((2, 4), (1.0, 5.0), 4, 2)


@pytest.fixture(scope="module")
def splits(bodies: BodyParameters) -> list[Split]:
    tails = {"T-10%": np.arange(8), "T-5%": np.arange(4)}
    return [Split("train", bodies[:80], "a" * 16, tails), Split("test", bodies[80:120], "b" * 16, tails)]


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float, int]]:
    """(K, limb weight, seed) of every fit that runs."""
    seen: list[tuple[int, float, int]] = []

    def spy(parameters: BodyParameters, body: BodyModel, config: PrototypeConfig, *rest: Any) -> Any:
        seen.append((config.k, config.weights["limbs"], config.seed))
        return fit_prototypes(parameters, body, config, *rest)

    monkeypatch.setattr(module, "fit_prototypes", spy)
    return seen


# -- what is tried ----------------------------------------------------------------------------------------------------


def test_every_setting_is_planned_once() -> None:
    settings, notes = plan(SweepConfig((50, 5, 50), (1.0, 5.0), 50), 1000)
    assert settings == [Setting(5, 5.0, ("k",)), Setting(50, 5.0, ("k", "limbs")), Setting(50, 1.0, ("limbs",))]
    assert notes == []


def test_more_prototypes_than_samples_are_left_out_with_a_note() -> None:
    settings, notes = plan(SweepConfig((5, 10, 100), (1.0,), 50), 10)
    assert [s.k for s in settings] == [5, 10]
    assert notes == [
        "K = 100 is left out: there are only 10 samples to cluster",
        "K = 50 (limb weights) is left out: there are only 10 samples to cluster",
    ]


@pytest.mark.parametrize("method", ["3dh", "naive"])
def test_limb_weights_are_left_out_where_they_change_nothing(method: str) -> None:
    settings, notes = plan(SweepConfig((5,), (1.0, 3.0), base=PrototypeConfig(method=method)), 100)
    assert settings == [Setting(5, 5.0, ("k",))]
    assert notes == [f"limb weights are left out: the method {method} does not use them"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SweepConfig((), ()), "nothing to try (name a K or a limb weight)"),
        (SweepConfig((7,), ()), "K = 7 is left out: there are only 3 samples to cluster"),
        (SweepConfig((2,), (), seeds=0), "seeds: expected at least 1, got 0"),
    ],
)
def test_nothing_to_try(config: SweepConfig, message: str) -> None:
    with pytest.raises(InputError) as error:
        plan(config, 3)
    assert message in str(error.value)


# -- what is measured -------------------------------------------------------------------------------------------------


def test_numbers_of_a_run_are_those_of_the_fit(splits: list[Split], body: BodyModel) -> None:
    config = PrototypeConfig(k=4, seed=3)
    run = measured_run(splits, body, config)
    fit = fit_prototypes(splits[0].parameters, body, config)
    held_out = assign(splits[1].parameters, fit.prototypes, body)
    assert run["prototypes"] == fit.prototypes.fingerprint
    assert run["iterations"] == fit.iterations
    assert run["sizes"] == sorted(fit.prototypes.counts.tolist(), reverse=True)
    np.testing.assert_array_equal(unpacked(run["labels"]), fit.labels.label)
    for name, labels in (("train", fit.labels), ("test", held_out)):
        for subset, rows in (("Full", slice(None)), ("T-10%", slice(8)), ("T-5%", slice(4))):
            found = run["splits"][name][subset]
            assert found["distance"] == pytest.approx(labels.distance[rows].mean(), rel=1e-6)
            assert found["singular"] == pytest.approx(labels.distance_to_singular[rows].mean(), rel=1e-6)
    assert run["splits"]["test"]["T-5%"]["samples"] == 4


@pytest.mark.parametrize("changes", [{"limbs": 1.0}, {"limbs": 5.0}, {"method": "3dh"}, {"method": "naive"}])
def test_gamma_is_comparable_between_weights_and_methods(
    splits: list[Split],
    body: BodyModel,
    weights: NDArray[np.float64],
    brute_force: Callable[..., NDArray[np.float64]],
    changes: dict[str, Any],
) -> None:
    base = PrototypeConfig(k=3, method=changes.get("method", "p3dh"))
    config = replace(base, weights={**base.weights, "limbs": changes.get("limbs", 5.0)})
    run = measured_run(splits, body, config)
    centres = fit_prototypes(splits[0].parameters, body, config).prototypes.parameters
    for split in splits:
        nearest = brute_force(body, split.parameters, centres, weights).min(axis=1)
        assert run["gamma"][split.name] == pytest.approx(nearest.mean(), rel=1e-6)


def test_equal_clusters_agree_whatever_they_are_called() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert agreement([labels, labels, (labels + 1) % 3]) == [1.0, 1.0, 1.0]
    assert agreement([labels]) == []


def test_agreement_equals_counting_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 40), rng.integers(0, 4, 40)
    pairs = [(a[i] == a[j], b[i] == b[j]) for i, j in itertools.combinations(range(40), 2)]
    both, in_a, in_b = (sum(p) for p in ([x and y for x, y in pairs], [x for x, _ in pairs], [y for _, y in pairs]))
    expected = in_a * in_b / len(pairs)
    assert agreement([a, b]) == pytest.approx([(both - expected) / ((in_a + in_b) / 2 - expected)])


def test_labels_survive_packing() -> None:
    labels = np.array([0, 70_000, 3, 3], np.int32)
    np.testing.assert_array_equal(unpacked(packed(labels)), labels)
    assert unpacked(packed(labels)).dtype == np.int32


# -- resuming ---------------------------------------------------------------------------------------------------------


def test_a_second_sweep_fits_nothing(splits: list[Split], body: BodyModel, tmp_path: Path, fits: list[Any]) -> None:
    first = run_sweep(splits, body, TINY, tmp_path)
    assert fits == [(2, 5.0, 0), (2, 5.0, 1), (4, 5.0, 0), (4, 5.0, 1), (4, 1.0, 0), (4, 1.0, 1)]
    assert (first.fitted, first.reused) == (6, 0)
    again = run_sweep(splits, body, TINY, tmp_path)
    assert len(fits) == 6
    assert (again.fitted, again.reused) == (0, 6)
    assert [o.runs for o in again.outcomes] == [o.runs for o in first.outcomes]
    assert [o.agreement for o in again.outcomes] == [o.agreement for o in first.outcomes]
    assert [o.setting.k for o in first.of("k")] == [2, 4]
    assert [o.setting.limbs for o in first.of("limbs")] == [1.0, 5.0]


def test_a_killed_sweep_goes_on(
    splits: list[Split], body: BodyModel, tmp_path: Path, fits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = module.fit_prototypes

    def killed(*arguments: Any) -> Any:
        if len(fits) == 2:
            raise KeyboardInterrupt
        return spy(*arguments)

    monkeypatch.setattr(module, "fit_prototypes", killed)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(splits, body, TINY, tmp_path)
    monkeypatch.setattr(module, "fit_prototypes", spy)
    sweep = run_sweep(splits, body, TINY, tmp_path)
    assert (sweep.fitted, sweep.reused) == (4, 2)
    assert len(set(fits)) == len(fits) == 6


def test_one_more_seed_costs_its_own_fits(
    splits: list[Split], body: BodyModel, tmp_path: Path, fits: list[Any]
) -> None:
    small = SweepConfig((2,), (), 4, 1)
    run_sweep(splits, body, small, tmp_path)
    sweep = run_sweep(splits, body, replace(small, seeds=2), tmp_path)
    assert fits == [(2, 5.0, 0), (2, 5.0, 1)]
    assert len(sweep.outcomes[0].agreement) == 1


@pytest.mark.parametrize("what", ["records", "tails", "options", "damaged", "foreign"])
def test_other_inputs_are_fitted_again(
    splits: list[Split], body: BodyModel, tmp_path: Path, fits: list[Any], what: str
) -> None:
    config, (train, test) = SweepConfig((2,), (), 4, 1), splits
    run_sweep(splits, body, config, tmp_path)
    kept = next((tmp_path / "runs").iterdir())
    assert kept.name == "p3dh-k2-limbs5-seed0.json"
    if what == "records":
        test = replace(test, fingerprint="c" * 16)
    elif what == "tails":
        train = replace(train, tails={"T-25%": np.arange(20)})
    elif what == "options":
        config = replace(config, base=PrototypeConfig(init="k-means++"))
    else:
        kept.write_text('{"kind": ' if what == "damaged" else "[1]")
    assert run_sweep([train, test], body, config, tmp_path).fitted == 1
    assert len(fits) == 2


def test_the_device_changes_no_label_and_costs_no_fit(
    splits: list[Split], body: BodyModel, tmp_path: Path, fits: list[Any]
) -> None:
    config = SweepConfig((2,), (), 4, 1)
    run_sweep(splits, body, config, tmp_path)
    run_sweep(splits, body, replace(config, base=PrototypeConfig(device="cpu", dims=32)), tmp_path)
    assert len(fits) == 1


def test_progress_names_what_is_fitted(splits: list[Split], body: BodyModel, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int, str]] = []
    run_sweep(splits, body, SweepConfig((2,), (), 4, 1), tmp_path, lambda *call: calls.append(call))  # type: ignore[arg-type]
    assert {call[0] for call in calls} == {"sweep"}
    assert calls[0][1:] == (0, 1, "K = 2, limbs 5, seed 0")
    assert calls[-1][1:3] == (1, 1)
    assert any("K-Means" in call[3] for call in calls)


def test_a_folder_that_cannot_be_written(splits: list[Split], body: BodyModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        run_sweep(splits, body, SweepConfig((2,), (), 4, 1), tmp_path / "file")
