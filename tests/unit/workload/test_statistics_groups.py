"""Groups of samples whose norms take their statistics together."""

import pytest
import torch
from step_interpreter import run
from torch import nn
from torch.nn import functional

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Pass
from camel_plugin.workload.capture.capture import capture
from camel_plugin.workload.load import load_network
from camel_plugin.workload.networks.revnet import revnet

RATE = 0.1


def normed():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


def test_a_group_is_the_batch_by_default_and_one_sample_runs_at_a_time_where_nothing_couples_samples():
    step = load_network(normed(), input=(3, 8, 8), batch=8).step()
    assert (step.micro_batch, step.norm_group) == (8, 8)
    step = load_network(plain(), input=(3, 8, 8), batch=8).step()
    assert (step.micro_batch, step.norm_group) == (1, None)


def test_a_micro_batch_is_a_whole_number_of_groups():
    step = load_network(normed(), input=(3, 8, 8), batch=8, norm_group=2).step()
    assert (step.micro_batch, step.norm_group, step.trips("0")) == (2, 2, 4)
    step = load_network(normed(), input=(3, 8, 8), batch=8, norm_group=2, micro_batch=4).step()
    assert (step.micro_batch, step.norm_group, step.trips("0")) == (4, 2, 2)
    assert step.tensors["1.mean"].shape == (2, 4), "one mean a group"
    with pytest.raises(WorkloadError, match=r"splits groups of 8 samples .*norm_group 2"):
        load_network(normed(), input=(3, 8, 8), batch=8, micro_batch=2).step()


def test_divisors_of_the_batch_in_whole_groups_are_searched():
    assert load_network(plain(), input=(3, 8, 8), batch=12).micro_batches == [1, 2, 3, 4, 6, 12]
    assert load_network(normed(), input=(3, 8, 8), batch=12, norm_group=2).micro_batches == [2, 4, 6, 12]


def test_work_does_not_depend_on_how_many_samples_run_at_a_time():
    def work(**sizes):
        step = load_network(normed(), input=(3, 8, 8), batch=8, norm_group=2, **sizes).step()
        found = [(op, step.trips(op.name)) for op in step.operations]
        return sum(op.macs * n for op, n in found), sum(op.vector_ops * n for op, n in found)

    assert work(micro_batch=2) == work(micro_batch=4) == work(micro_batch=8)


def test_one_value_a_channel_is_traced_and_said():
    net = nn.Sequential(nn.Conv2d(3, 4, 8), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    step = load_network(net, input=(3, 8, 8), batch=8, norm_group=1).step()
    assert step.coverage.remarks == ("one value per channel in a statistics group, which normalises to zero: 1",)
    assert not load_network(net, input=(3, 8, 8), batch=8).step().coverage.remarks


@pytest.mark.parametrize("schedule", ["store-all", "checkpoint", "reversible"])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_gradients_are_those_of_torch_on_such_groups(schedule, group):
    """The step runs once a group and adds up; torch's gradients of each group, averaged."""
    torch.manual_seed(0)
    module = revnet([2, 2], [4, 4, 8], 5).double()
    x, labels = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 3, 1, 4])
    graph = capture(module, (group, 3, 8, 8))
    recipe = Recipe(schedule=schedule, batch=group, norm_group=group)
    given = {path: parameter.detach().clone() for path, parameter in module.named_parameters()}
    module.train()
    total = {path: torch.zeros_like(weight) for path, weight in given.items()}
    for part, wanted in zip(x.split(group), labels.split(group), strict=True):
        memory, _ = run(graph, recipe, {**given, "input": part, "labels": wanted}, RATE)
        for path in total:
            total[path] += (given[path] - memory[path]) / RATE
        functional.cross_entropy(module(part), wanted).backward()
    for path, parameter in module.named_parameters():
        torch.testing.assert_close(total[path], parameter.grad, rtol=1e-8, atol=1e-9, msg=path)


def test_masks_are_kept_or_drawn_again_where_a_branch_runs_again():
    # A segment ends behind a convolution; the last one, with the third mask and the fourth, runs once.
    net = nn.Sequential(*[nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Dropout(0.5)) for _ in range(4)])
    for dropout, drawn in (("replay", 2), ("store", 0)):
        step = load_network(
            net, input=(4, 8, 8), batch=1, schedule="checkpoint", training={"checkpoint_blocks": 1, "dropout": dropout}
        ).step()
        again = [op for op in step.operations if op.kind == "random" and op.pass_ is Pass.RECONSTRUCT]
        assert len(again) == drawn
