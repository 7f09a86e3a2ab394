"""Configs: presets hold the papers' numbers, changes are what people type, and mistakes are one line."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import yaml

from hmrtk.models.config import NETWORKS, PRESETS, StageConfig, load_config, validated
from hmrtk.toolkit.errors import InputError, UnknownNameError

# -- presets ----------------------------------------------------------------------------------------------------------


def test_pmnet_paper_is_section_3d() -> None:
    """Eq. 5's weights, Adam at 1e-4, batches of 256, two stages; §III-B: ResNet-50, 1024, three rounds, Eq. 3."""
    config = load_config("pmnet")
    loss = config.loss
    assert (loss.joints3d, loss.keypoints2d, loss.pose, loss.betas, loss.prototype) == (5, 5, 1, 1e-3, 1)
    assert (loss.reduction, loss.rotation, loss.camera, loss.factor) == ("sum", "rot6d", 0, 1)
    assert (loss.prototype_focus, loss.prototype_balance) == (0, 0)
    assert config.optimiser.model_dump() == {
        "learning_rate": 1e-4, "weight_decay": 0, "clip": None, "warmup": 0, "decay": "none"
    }  # fmt: skip
    assert config.data.batch == 256
    assert [(stage.name, stage.memory) for stage in config.stages] == [("one", False), ("two", True)]
    assert (config.backbone.name, config.backbone.pretrained, config.camera) == ("resnet50", "imagenet", "pmnet")
    assert (config.regressor.hidden, config.regressor.iterations) == (1024, 3)
    assert (config.memory.selection, config.memory.temperature, config.memory.hypotheses) == ("soft", 1, 1)
    assert config.memory.classifier


def test_hmr_paper_is_spins_code() -> None:
    """SPIN ``train_options.py`` and ``trainer.py``; its mean over 49 keypoints is 24/49 of ours over 24."""
    config = load_config("hmr")
    loss = config.loss
    assert (loss.joints3d, loss.pose, loss.betas, loss.camera, loss.factor) == (5, 1, 1e-3, 1, 60)
    assert loss.keypoints2d == pytest.approx(5 * 24 / 49, rel=1e-8)
    assert (loss.reduction, loss.rotation) == ("mean", "rotmat")
    assert (config.optimiser.learning_rate, config.optimiser.weight_decay) == (5e-5, 0)
    assert (config.data.batch, config.data.size, config.data.augmentation) == (64, 224, "spin")
    assert [(stage.epochs, stage.memory) for stage in config.stages] == [(50, False)]
    assert (config.backbone.name, config.camera, config.regressor.dropout) == ("resnet50", "crop", 0.5)


def test_small_presets_share_stage_one() -> None:
    hmr, pmnet = load_config("hmr", "small"), load_config("pmnet", "small")
    assert hmr.stages[0] == pmnet.stages[0]
    same = ("backbone", "regressor", "loss", "optimiser", "data", "camera", "seed")
    assert all(getattr(hmr, name) == getattr(pmnet, name) for name in same)


@pytest.mark.parametrize(("network", "preset"), list(product(NETWORKS, PRESETS)))
def test_yaml_round_trip(tmp_path: Path, network: str, preset: str) -> None:
    config = load_config(network, preset)
    (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(network, file=tmp_path / "config.yaml") == config


# -- changes ----------------------------------------------------------------------------------------------------------


def test_changes() -> None:
    changes = ("optimiser.learning_rate=1e-3", "stages.1.steps=70", "seed=3", "backbone.pretrained=none",
               "memory.test_selection=label", "optimiser.clip=null", "loss.reduction=mean", "memory.classifier=false",
               "memory.selection=singular", "data.mix=spin", "validate_rows=9")  # fmt: skip
    config = load_config("pmnet", "small", changes=changes)
    assert config.optimiser.learning_rate == 1e-3
    assert (config.stages[0].steps, config.stages[1].steps) == (4000, 70)
    assert (config.seed, config.backbone.pretrained, config.memory.test_selection) == (3, "none", "label")
    assert config.optimiser.clip is None
    assert (config.loss.reduction, config.memory.classifier, config.data.mix) == ("mean", False, "spin")


def test_a_whole_list_and_the_last_change_count() -> None:
    config = load_config("hmr", "small", changes=("stages=[{name: a, epochs: 2}]", "seed=1", "seed=2"))
    assert config.stages == (StageConfig(name="a", epochs=2),)
    assert config.seed == 2


def test_a_section_that_the_preset_leaves_out() -> None:
    config = load_config("hmr", "paper", changes=("regressor.hidden=8", "evidence=1E2"))
    assert config.regressor.hidden == 8
    assert config.regressor.dropout == 0.5
    assert config.evidence == 100


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("seed", "setting 'seed': expected key=value (e.g. optimiser.learning_rate=1e-3)"),
        ("=3", "setting '=3': expected key=value (e.g. optimiser.learning_rate=1e-3)"),
        ("stages.1.steps=3", "setting stages.1.steps: has nothing below 1"),
        ("stages.x.steps=3", "setting stages.x.steps: has nothing below x"),
        ("stages.one=3", "setting stages.one: expected a number below 1, got one"),
        ("camera.a.b=3", "setting camera.a.b: has nothing below camera"),
        ("data.batch=0", "preset small of hmr: data.batch: Input should be greater than or equal to 1, got 0"),
        ("data.batch=many", "preset small of hmr: data.batch: Input should be a valid integer, unable to parse string "
         "as an integer, got 'many'"),
        ("stages.0.epochs=2", "preset small of hmr: stages.0: give steps or epochs, and not both, got {'name': 'one', "
         "'steps': 4000, 'epochs': 2}"),
        ("stages=[]", "preset small of hmr: stages: Tuple should have at least 1 item after validation, not 0, got []"),
        ("stages.0.name=A B", "preset small of hmr: stages.0.name: String should match pattern '^[a-z][a-z0-9_]*$', "
         "got 'A B'"),
        ("camera=fisheye", "preset small of hmr: camera: Input should be 'crop' or 'pmnet', got 'fisheye'"),
        ("stages.0.memory=true", "preset small of hmr: settings: hmr has no memory: set stages' memory to false, or "
            "train pmnet"),
        ("data.batch=[", "setting data.batch: is not YAML: while parsing a flow node"),
        ("optimiser.learning_rate=nan", "preset small of hmr: optimiser.learning_rate: Input should be greater than 0"),
        ("precision=4-bit", "preset small of hmr: precision: Input should be '32-true', "),
    ],
)  # fmt: skip
def test_wrong_changes_are_one_line(change: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config("hmr", "small", changes=(change,))
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 320


def test_unknown_settings_list_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown setting 'optimiser.lr'; known: optimiser\.\w+, ") as caught:
        load_config("hmr", changes=("optimiser.lr=1",))
    known = str(caught.value).split("known: ")[1].split(", ")
    assert {"loss.pose", "stages", "data.mix", "memory.temperature", "seed", "backbone.name"} <= set(known)
    with pytest.raises(UnknownNameError, match=r"unknown setting 'stages.0.lr'; known: stages"):
        load_config("hmr", changes=("stages.0.lr=1",))


def test_unknown_networks_and_presets() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown network 'pm-net'; known: pmnet, hmr"):
        load_config("pm-net")
    with pytest.raises(UnknownNameError, match=r"unknown preset 'tiny'; known: small, paper"):
        load_config("hmr", "tiny")


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_in_place_of_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("stages: [{name: only, steps: 3}]\noptimiser: {learning_rate: 2.0e-4}\n")
    config = load_config("hmr", file=file, changes=("seed=4",))
    assert (config.network, config.stages[0].name, config.optimiser.learning_rate, config.seed) == (
        "hmr",
        "only",
        2e-4,
        4,
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: [1", "is not YAML: while parsing a flow sequence"),
        (b"- 1\n- 2\n", "holds a list, expected the settings of a training run"),
        (b"", "holds a NoneType, expected the settings of a training run"),
        (b"network: pmnet\n", "is of the network pmnet, not hmr"),
        (b"seed: 1\n", "has no setting stages"),
        (b"\xff\xfe\x00", "cannot be read: "),
        (b"stages: 5\n", "stages: Input should be a valid tuple, got 5"),
        (b"a: !!python/object/apply:os.system ['true']\n", "is not YAML: could not determine a constructor"),
    ],
)
def test_wrong_files(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_config("hmr", file=tmp_path / "c.yaml")
    assert str(caught.value).startswith(f"{tmp_path / 'c.yaml'}: {problem}")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"nowhere\.yaml: cannot be read: "):
        load_config("hmr", file=tmp_path / "nowhere.yaml")


def test_keys_that_are_no_text() -> None:
    with pytest.raises((InputError, UnknownNameError)) as caught:
        validated({"network": "hmr", 5: 1, "stages": [{"name": "one", "steps": 1}]}, "here")
    assert "\n" not in str(caught.value)


def test_two_stages_of_one_name() -> None:
    with pytest.raises(InputError, match=r"two stages have the same name: one, one"):
        load_config("pmnet", "small", changes=("stages.1.name=one",))


@pytest.mark.parametrize("change", ["selection=soft", "test_selection=gated", "hypotheses=2"])
def test_choosing_without_a_classifier(change: str) -> None:
    """Said before stage one is trained, not after it."""
    without = ("memory.classifier=false", "memory.selection=label")
    assert not load_config("pmnet", "small", changes=without).memory.classifier
    with pytest.raises(InputError, match=r"settings: memory.classifier is false: set memory.selection to singular or"):
        load_config("pmnet", "small", changes=(*without, f"memory.{change}"))
    unused = ("memory.classifier=false", "stages.1.memory=false", f"memory.{change}")
    assert not load_config("pmnet", "small", changes=unused).memory.classifier


def test_lengths() -> None:
    assert StageConfig(name="a", steps=7).length(100) == 7
    assert StageConfig(name="a", epochs=2.5).length(100) == 250
    assert StageConfig(name="a", epochs=0.001).length(10) == 1


def test_presets_are_plain_yaml() -> None:
    folder = Path(__file__).parents[2] / "models" / "configs"
    files = sorted(path.name for path in folder.glob("*.yaml"))
    assert files == sorted(f"{n}.{p}.yaml" for n, p in product(NETWORKS, PRESETS))
    for name in files:
        assert isinstance(yaml.safe_load((folder / name).read_text(encoding="utf-8")), dict)
