"""Network files: what they say, and what is refused."""

import subprocess
import sys

import pytest
from torch import nn

from camel_plugin.errors import InputError, UnknownNameError, WorkloadError
from camel_plugin.files.network_file import read_network_file
from camel_plugin.resources import available, find
from camel_plugin.workload.load import load_network

GOOD = """\
description: "tiny"
builder: resnet
parameters:
  units: [1]
  filters: [4, 4]
input: [3, 8, 8]
batch: 4
training:
  schedule: checkpoint
  micro_batch: 2
  norm_group: 2
  optimizer: momentum
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_every_shipped_network_loads():
    names = [name for name in available("workloads") if not name.startswith("dudnn")]
    assert {"revresnet", "revnet110", "revnet164", "revnet56", "revnet104", "resnet32", "resnet50"} <= set(names)
    for name in names:
        network = load_network(name)
        content = read_network_file(find("workloads", name)).content
        assert content.description and content.source and network.name == name


def test_a_file_gives_the_recipe(write):
    network = load_network(write(GOOD))
    recipe = (
        network.name,
        network.input,
        network.recipe.batch,
        network.recipe.micro_batch,
        network.recipe.schedule,
        network.recipe.optimizer,
    )
    assert recipe == ("net", (3, 8, 8), 4, 2, "checkpoint", "momentum")
    step = network.step()
    assert (step.batch, step.micro_batch, step.schedule) == (4, 2, "checkpoint")
    assert step.tensors["input"].shape == (2, 3, 8, 8)


def test_arguments_replace_what_the_file_says(write):
    network = load_network(write(GOOD), input=(3, 16, 16), batch=9, micro_batch=3, norm_group=3, schedule="store-all")
    assert (network.input, network.recipe.batch, network.recipe.micro_batch, network.recipe.schedule) == (
        (3, 16, 16),
        9,
        3,
        "store-all",
    )
    assert network.step().tensors["input"].shape == (3, 3, 16, 16)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("builder:", "bilder:", 2, "did you mean 'builder'"),
        ("builder: resnet", "builder: resnat", 2, "did you mean 'resnet'"),
        ("builder: resnet\n", "", 1, "give either builder"),
        ("builder: resnet", "builder: resnet\nmodule: a:b", 1, "give either builder"),
        ("[3, 8, 8]", "[3, 8, eight]", 6, "valid integer"),
        ("[3, 8, 8]", "[3, 0, 8]", 6, "greater than 0"),
        ("[3, 8, 8]", "[]", 6, "at least 1"),
        ("input: [3, 8, 8]\n", "", 1, "required"),
        ("batch: 4", "batch: four", 7, "valid integer"),
        ("batch: 4", "batch: -4", 7, "greater than 0"),
        ("batch: 4", "batch: 4.5", 7, "valid integer"),
        ("checkpoint", "chekpoint", 9, "did you mean 'checkpoint'"),
        ("micro_batch: 2", "micro_batch: 3", 10, "must divide batch 4"),
        ("micro_batch: 2", "micro_batch: 0", 10, "greater than 0"),
        ("micro_batch: 2", "microbatch: 2", 10, "did you mean 'micro_batch'"),
        ("momentum", "momentun", 12, "did you mean 'momentum'"),
        ("training:", "batch: 3\ntraining:", 8, "duplicate key"),
        ("input: [", "input: [[", 7, "broken YAML"),
        ("builder: resnet", "module: nowhere", 2, "package.mod:factory"),
    ],
)
def test_wrong_files_are_refused_with_the_line(write, old, new, line, message):
    assert old in GOOD
    path = write(GOOD.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        load_network(path)
    assert isinstance(caught.value, WorkloadError | UnknownNameError)
    assert caught.value.file == path
    assert caught.value.line == line


def test_unknown_networks_get_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'revresnet'"):
        load_network("revresnett")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "store"}, "did you mean 'store-all'"),
        ({"batch": 0}, "at least 1"),
        ({"batch": 6, "micro_batch": 4}, "must divide batch 6"),
        ({"micro_batch": -1}, "at least 1"),
        ({"input": (3, 0, 3)}, "at least 1"),
        ({"input": ()}, "at least 1"),
        ({"optimizer": "sgdd"}, "did you mean 'sgd'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        load_network("resnet32", **arguments)


def test_wrong_builder_parameters_are_refused(write):
    network = load_network(write(GOOD.replace("units: [1]", "unit: [1]")))
    with pytest.raises(WorkloadError, match=r"cannot be built: .*unit"):
        network.step()


def test_modules_of_a_user(write, tmp_path, monkeypatch):
    code = write("from torch import nn\n\ndef make(width=2):\n    return nn.Conv2d(3, width, 3)\n", "mine.py")
    assert load_network(f"{code}:make", input=(3, 8, 8)).graph.nodes[0].output_shapes == ((1, 2, 6, 6),)
    text = "module: mine.py:make\nparameters: {width: 5}\ninput: [3, 8, 8]\n"
    assert load_network(write(text)).graph.nodes[0].output_shapes == ((1, 5, 6, 6),)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_network("mine:make", input=(3, 8, 8)).name == "make"
    assert load_network(nn.Conv2d(3, 4, 3), input=(3, 8, 8), batch=2, micro_batch=2).step().batch == 2
    with pytest.raises(WorkloadError, match="extents of one sample"):
        load_network(nn.Conv2d(3, 4, 3))
    with pytest.raises(WorkloadError, match="did you mean 'make'"):
        load_network(f"{code}:maker", input=(3, 8, 8)).step()
    with pytest.raises(WorkloadError, match="cannot be imported"):
        load_network("no_such_package.net:make", input=(3, 8, 8)).step()


def test_a_network_file_does_not_run_its_module_before_it_is_asked_to(write):
    write("raise SystemExit('ran')\n", "bomb.py")
    assert load_network(write("module: bomb.py:make\ninput: [3, 8, 8]\n")).name == "net"


def test_torch_waits_for_the_capture():
    code = (
        "import sys; from camel_plugin.workload.load import load_network; "
        "load_network('revresnet'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_modules_of_the_folder_are_found_and_may_import_each_other(tmp_path, monkeypatch):
    (tmp_path / "beside_blocks.py").write_text("from torch import nn\nclass Block(nn.Linear):\n    pass\n")
    (tmp_path / "beside_net.py").write_text(
        "from beside_blocks import Block\ndef make(width=4):\n    return Block(width, 2)\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    for spec in ("beside_net:make", "beside_net.py:make"):
        assert [node.kind for node in load_network(spec, input=(4,)).graph.nodes] == ["linear"]
    with pytest.raises(WorkloadError, match=r"beside_net has no 'mkae'.*did you mean 'make'"):
        load_network("beside_net:mkae", input=(4,)).graph  # noqa: B018
