"""Every configuration that ships is one that works."""

import dataclasses
import json
from pathlib import Path

import pytest

from transfer.cli.main import main
from transfer.config import read, template
from transfer.sweeps import declared_groups
from transfer.sweeps.rungs import rungs

FILES = sorted(Path(__file__).parents[1].joinpath("configs").glob("*.py"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def load(file):
    content = {}
    exec(compile(file.read_text(), str(file), "exec"), content)
    return content["get_config"]()


def test_there_are_configurations():
    assert {"quickstart", "transformer", "resnet_cifar10"} <= {file.stem for file in FILES}


@each_file
def test_a_shipped_configuration_has_the_template_for_its_keys(file):
    def keys(section):
        return {k: keys(v) if isinstance(v, dict) else None for k, v in section.items()}

    config = load(file)
    of_its_kinds = template(config.model.kind, config.data.kind)
    assert keys(config.to_dict()) == keys(of_its_kinds.to_dict())


@each_file
def test_a_shipped_configuration_survives_json(file):
    experiment = read(load(file))
    assert read(json.loads(json.dumps(dataclasses.asdict(experiment)))) == experiment


@each_file
def test_a_shipped_configuration_declares_its_sweep(file):
    experiment = read(load(file))
    groups = declared_groups(experiment)
    assert len(groups) == len(experiment.sweep.widths) * len(rungs(experiment))
    assert {len(group.recipes) for group in groups} == {len(experiment.sweep.recipes)}
    assert all(len(group.trials) >= 2 for group in groups)
    assert max(group.shape.width for group in groups) < experiment.model.width


@each_file
def test_a_shipped_configuration_can_be_explained(file, capsys):
    assert main(["transfer", "explain", f"--config={file}"]) == 0
    output, error = capsys.readouterr()
    assert error == ""
    experiment = read(load(file))
    parameters = experiment.layout(experiment.base_width).parameters
    (readout,) = [path for path in parameters if path.startswith("readout")]
    assert readout in output
    assert str(read(load(file)).model.width) in output
