"""Models of other libraries, where they are installed: nothing left out, work as torch counts it, parameters.

Nothing is downloaded: small configurations with random weights, or full ones on the meta device.
"""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from camel_plugin.spec.inputs import InputTensor
from camel_plugin.spec.step import Pass
from camel_plugin.workload.load import load_network

BATCH = 2


def forward_macs(module, *inputs, **named):
    with FlopCounterMode(display=False) as flops, sdpa_kernel(SDPBackend.MATH):
        module.train()(*inputs, **named)
    return flops.get_total_flops() / 2


def lowered(module, given):
    step = load_network(module, input=given, batch=BATCH, micro_batch=BATCH).step(strict=True)
    work = {pass_: sum(op.macs for op in step.operations if op.pass_ is pass_) for pass_ in Pass}
    assert work[Pass.WEIGHT_GRAD] > 0
    return work[Pass.FORWARD]


SIZES = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 64}
WORDS = SIZES | {"vocab_size": 100, "max_position_embeddings": 64}
IMAGE = SIZES | {"image_size": 32, "patch_size": 8}


@pytest.mark.parametrize(
    ("family", "head", "sizes"),
    [
        ("Bert", "ForSequenceClassification", WORDS),
        ("Roberta", "ForSequenceClassification", WORDS),
        ("GPT2", "LMHeadModel", {"vocab_size": 100, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}),
        ("Llama", "ForCausalLM", WORDS | {"num_key_value_heads": 2}),
        ("ViT", "ForImageClassification", IMAGE),
        ("ConvNext", "ForImageClassification", {"hidden_sizes": [8, 16, 32, 64], "depths": [1, 1, 2, 1]}),
    ],
)
def test_transformers(family, head, sizes):
    transformers = pytest.importorskip("transformers")
    module = getattr(transformers, family + head)(getattr(transformers, f"{family}Config")(**sizes))
    if family in ("ViT", "ConvNext"):
        given, x = (3, 32, 32), torch.zeros(BATCH, 3, 32, 32)
    else:
        given, x = InputTensor((16,), "int64"), torch.ones(BATCH, 16, dtype=torch.int64)
    assert lowered(module, given) == forward_macs(module, x)


def test_transformers_with_a_mask():
    transformers = pytest.importorskip("transformers")
    module = transformers.BertForSequenceClassification(transformers.BertConfig(**WORDS))
    given = {name: InputTensor((16,), "int64") for name in ("input_ids", "attention_mask")}
    ones = torch.ones(BATCH, 16, dtype=torch.int64)
    assert lowered(module, given) == forward_macs(module, input_ids=ones, attention_mask=ones)


def test_bert_base_has_the_parameters_of_ours():
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        theirs = transformers.BertForSequenceClassification(transformers.BertConfig())
        ours = load_network("bert-base").factory()
    assert count(theirs) == count(ours)


MODELS = ["resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "swin_t", "vit_b_16"]


@pytest.mark.parametrize("name", MODELS)
def test_torchvision(name):
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        module = getattr(models, name)(weights=None)
        x = torch.empty(BATCH, 3, 224, 224)
    assert lowered(module, (3, 224, 224)) == forward_macs(module, x)


OURS = {
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "resnet50": "ResNet50",
    "vgg16": "VGG16",
    "mobilenetv2": "MobileNet_V2",
    "vit-b": "ViT_B_16",
}


@pytest.mark.parametrize("name", OURS)
def test_torchvision_publishes_the_same_parameters_and_work(name):
    models = pytest.importorskip("torchvision.models")
    published = getattr(models, f"{OURS[name]}_Weights").IMAGENET1K_V1.meta
    network = load_network(name)
    with torch.device("meta"):
        assert count(network.factory()) == published["num_params"]
    macs = sum(op.macs for op in network.step().operations if op.pass_ is Pass.FORWARD)
    assert round(macs / 1e9, 3) == pytest.approx(published["_ops"], abs=0.0011)


def test_timm_has_the_parameters_of_our_small_vit():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        assert count(timm.create_model("vit_small_patch16_224")) == count(load_network("vit-s").factory())


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())
