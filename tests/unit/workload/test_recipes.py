"""Recipes: what is trained, checkpoints, generic inversion, precision, strictness."""

from dataclasses import replace

import pytest
import torch
from stored_bytes import stored_bytes
from torch import nn

from camel_plugin.errors import InputError, UnknownNameError, WorkloadError
from camel_plugin.spec.step import Pass, TensorKind
from camel_plugin.workload.load import load_network
from camel_plugin.workload.lowering.memory import peak_bytes
from camel_plugin.workload.networks.resnet import resnet


class Adapted(nn.Module):
    """Two convolutions with norms, an adapter beside the second, and a classifier."""

    def __init__(self):
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.stage2 = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.adapter = nn.Conv2d(8, 8, 1)
        self.classifier = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stage1(x)
        x = self.stage2(x) + self.adapter(x)
        return self.classifier(x.mean((2, 3)))


def step_of(*trainable, module=None, **recipe):
    return load_network(module or Adapted(), input=(3, 8, 8), trainable=trainable, **recipe).step()


def gradients(step, pass_):
    return {op.name for op in step.operations if op.pass_ is pass_ and op.kind in ("conv2d", "linear")}


def test_last_layer_only():
    step = step_of("classifier")
    assert gradients(step, Pass.WEIGHT_GRAD) == {"classifier:weight_grad"}
    assert gradients(step, Pass.INPUT_GRAD) == set()


def test_adapters_get_gradients_and_what_lies_below_gets_none():
    step = step_of("*adapter*", "classifier")
    assert gradients(step, Pass.WEIGHT_GRAD) == {"adapter:weight_grad", "classifier:weight_grad"}
    assert gradients(step, Pass.INPUT_GRAD) == {"classifier:input_grad"}


def test_a_frozen_layer_passes_gradients_on_to_what_is_trained_below():
    step = step_of("stage1.0.weight")
    assert gradients(step, Pass.WEIGHT_GRAD) == {"stage1.0:weight_grad"}
    assert gradients(step, Pass.INPUT_GRAD) == {"classifier:input_grad", "stage2.0:input_grad", "adapter:input_grad"}


def test_frozen_norms_keep_their_statistics_and_the_module_its_state():
    module = Adapted()
    module.stage2[0].weight.requires_grad_(False)
    graph = load_network(module, input=(3, 8, 8), trainable=["stage2", "classifier"]).graph
    training = {node.name: node.attributes["training"] for node in graph.nodes if node.kind == "batch_norm"}
    assert training == {"stage1.1": False, "stage2.1": True}
    assert all(child.training for child in module.modules())
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    assert frozen == {"stage2.0.weight"}


def test_a_pattern_that_names_nothing_is_refused():
    with pytest.raises(WorkloadError, match=r"trainable: names no parameter .*did you mean 'classifier'"):
        step_of("clasifier")


def test_checkpoints_keep_to_a_budget_with_the_least_work_done_again():
    module = resnet([2, 2, 2], [8, 8, 16, 32])

    def recipe(**more):
        return load_network(module, input=(3, 16, 16), schedule="checkpoint", **more).step()

    def again(step):
        return sum(op.macs for op in step.operations if op.pass_ is Pass.RECONSTRUCT)

    whole = peak_bytes(load_network(module, input=(3, 16, 16)).step())
    tight, loose = recipe(checkpoint_bytes=80_000), recipe(checkpoint_bytes=int(whole) + 1)
    assert peak_bytes(tight) <= 80_000 < whole
    assert again(loose) == 0 < again(tight)
    longer = [recipe(checkpoint_blocks=blocks) for blocks in range(1, 9)]
    assert again(tight) == min(again(step) for step in longer if peak_bytes(step) <= 80_000)
    with pytest.raises(WorkloadError, match=r"no checkpoints keep to this .*the least is [0-9]+ bytes"):
        recipe(checkpoint_bytes=1000)
    with pytest.raises(WorkloadError, match="give one of them"):
        recipe(checkpoint_bytes=1000, checkpoint_blocks=2)


def test_generic_inversion_costs_five_units_and_fused_four():
    fused, generic = (load_network("revresnet", reversible=kind) for kind in ("fused", "generic"))
    inside = {name for coupling in fused.graph.couplings for name in coupling.nodes}
    units = []
    for network in (fused, generic):
        ops = [op for op in network.step().operations if (op.partner or op.name) in inside]
        forward = sum(op.macs for op in ops if op.pass_ is Pass.FORWARD)
        units.append(sum(op.macs for op in ops) / forward)
    assert units == [4, 5]


def test_precision_gives_bits_to_every_kind():
    step = load_network(
        "lenet5", precision={"default": "fp16", "activation": "bfp58", "optimizer_state": "fp32"}
    ).step()
    assert step.bits[TensorKind.WEIGHT] == 16
    assert step.bits[TensorKind.ACTIVATION] == pytest.approx(6.444, abs=1e-3)
    assert step.bits[TensorKind.OPTIMIZER_STATE] == 32
    plain = load_network("lenet5").step()
    assert plain.bits == {}
    whole = load_network("lenet5", precision="int8").step()
    assert stored_bytes(whole) * 4 == stored_bytes(plain) == stored_bytes(plain, 4)
    with pytest.raises(UnknownNameError, match=r"unknown format .*did you mean 'fp16'"):
        load_network("lenet5", precision="fp17")
    with pytest.raises(UnknownNameError, match=r"unknown kind of tensor .*did you mean 'weight'"):
        load_network("lenet5", precision={"weights": "fp16"})


def test_recipes_stand_in_network_files(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "builder: revnet\nparameters: {units: [2, 2], filters: [8, 8, 16]}\ninput: [3, 8, 8]\nbatch: 4\n"
        "training:\n  schedule: reversible\n  reversible: generic\n  optimizer: adam\n"
        "  micro_batch: 2\n  norm_group: 2\n"
        "  trainable: [stage2, classifier]\n  precision: {default: bf16, activation: bfp58}\n"
    )
    network = load_network(str(path))
    assert network.recipe.trainable == ("stage2", "classifier") and network.recipe.reversible == "generic"
    step = network.step()
    assert step.bits[TensorKind.GRADIENT] == 16
    trained = {name.split(".")[0] for name, t in step.tensors.items() if t.kind is TensorKind.WEIGHT_GRAD}
    assert trained == {"stage2", "classifier"}
    path.write_text(path.read_text().replace("generic", "genric"))
    with pytest.raises(UnknownNameError, match=r"mine.yaml:7: training.reversible: .*did you mean 'generic'"):
        load_network(str(path))


def test_strict_refuses_what_is_not_modelled():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)

        def forward(self, x):
            x = self.fc(x)
            return torch.cdist(x, x)

    network = load_network(Odd(), input=(8,))
    forward, gradient = network.step().coverage.unsupported
    assert gradient.startswith("_cdist_backward in the network: 2 x, ")
    assert forward.startswith("_cdist_forward in the network: 1 x, ")
    for refused in (lambda: network.step(strict=True), lambda: load_network(Odd(), input=(8,), strict=True).step()):
        with pytest.raises(WorkloadError, match=r"holds what is not modelled \(got ._cdist"):
            refused()


def test_several_inputs_by_name(tmp_path):
    (tmp_path / "two.py").write_text(
        "from torch import nn\n\n"
        "class Two(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.words = nn.Embedding(20, 4)\n"
        "        self.head = nn.Linear(6, 3)\n\n"
        "    def forward(self, tokens, extra=None, unused=None):\n"
        "        import torch\n"
        "        return (self.head(torch.cat([self.words(tokens).mean(1), extra], 1)), None)\n"
    )
    path = tmp_path / "two.yaml"
    path.write_text(
        "module: two.py:Two\nbatch: 4\ntraining: {micro_batch: 2}\n"
        "input:\n  tokens: {shape: [7], dtype: int64}\n  extra: {shape: [2]}\n"
    )
    step = load_network(str(path)).step()
    inputs = {name: t.shape for name, t in step.tensors.items() if t.kind is TensorKind.INPUT}
    assert inputs == {"tokens": (2, 7), "extra": (2, 2), "labels": (2,)}
    path.write_text(path.read_text().replace("int64", "int63"))
    with pytest.raises(UnknownNameError, match=r"unknown type of input .*did you mean 'int64'"):
        load_network(str(path))


def test_a_run_replaces_settings_of_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "builder: resnet\nparameters: {units: [1, 1], filters: [8, 8, 16]}\ninput: [3, 8, 8]\n"
        "training: {schedule: checkpoint, checkpoint_bytes: 100000, precision: {default: fp32, weight: bf16}}\n"
    )

    def run(**settings):
        return load_network(str(path), training=settings)

    text = run(**{"checkpoint_blocks": "2", "trainable": "classifier, stage2.*", "precision.activation": "int8"})
    assert (text.recipe.checkpoint_blocks, text.recipe.checkpoint_bytes) == (2, None)
    assert text.recipe.trainable == ("classifier", "stage2.*")
    assert text.recipe.precision == {"default": "fp32", "weight": "bf16", "activation": "int8"}
    plain = run(checkpoint_blocks=2, trainable=["classifier", "stage2.*"], precision={"activation": "int8"})
    assert plain.recipe == text.recipe
    assert run(precision="fp8").recipe.precision == {"default": "fp8"}
    assert run(optimizer="adam").recipe == replace(load_network(str(path)).recipe, optimizer="adam")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"optimiser": "sgd"}, r"training: unknown setting .*did you mean 'optimizer'"),
        ({"optimizer": "adamm"}, r"unknown optimizer .*did you mean 'adam'"),
        ({"precision.weights": "fp16"}, r"unknown kind of tensor .*did you mean 'weight'"),
        ({"precision": "fp61"}, r"unknown format .*did you mean 'fp16'"),
        ({"optimizer.x": "sgd"}, r"unknown setting .*did you mean 'optimizer'"),
        ({"micro_batch": "two"}, r"training.micro_batch: .*valid integer.*'two'"),
        ({"checkpoint_blocks": "2"}, r"checkpoint_blocks: says nothing under schedule store-all.*choose schedule"),
        ({"reversible": "generic"}, r"reversible: says nothing under schedule store-all"),
        ({"schedule": "reversible"}, r"schedule: is given twice"),
    ],
)
def test_wrong_settings_of_a_run_are_refused(settings, complaint):
    with pytest.raises(InputError, match=complaint):
        load_network("resnet32", schedule="store-all", training=settings)
