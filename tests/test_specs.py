"""The library of architectures: every net in specs/ counts what was published, and is short."""

from __future__ import annotations

from pathlib import Path

import pytest

import netdsl
from netdsl.compiler import load, nets
from netdsl.elaborate.overrides import change
from netdsl.ops.drop_path import DropPath
from netdsl.syntax import ast
from netdsl.syntax.format import format_source
from netdsl.syntax.parse import parse, read

SPECS = Path(__file__).parent.parent / "specs"
FILES = {name: path for path in SPECS.glob("*.net") for name in nets(path)}

# Channels that enter a block of FractalNet, and those it has.
FRACTAL = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 512)]

# Parameters, and multiply-accumulates in units of 10^9 where somebody published them. The comments
# say who did: "torchvision" is its table of weights, "pytorchcv" the table of osmr/imgclsmob. Where
# nobody did, the sum is written out.
PUBLISHED: dict[str, tuple[int, float | None]] = {
    # linear.net, mlp.net: LeCun et al. 1998, section III.C, has 7,850 for the first; the second is
    # LeNet-300-100, 267 K in Han et al. 2015, table 1.
    "Linear": (7_850, None),
    "MLP": (785 * 300 + 301 * 100 + 101 * 10, None),
    # maxout.net: 240 units of 5 pieces, pylearn2's mnist_pi.yaml.
    "Maxout": (785 * 1200 + 241 * 1200 + 241 * 10, None),
    # autoencoder.net: three convolutions there, three back.
    "Autoencoder": (160 + 4_640 + 100_416 + 100_384 + 4_624 + 145, None),
    # lenet5.net: layer by layer, by hand.
    "LeNet5": (156 + 2_416 + 48_120 + 10_164 + 850, None),
    # alexnet.net: Caffe's bvlc_alexnet (724 M in Abdelouahab's CNN-Workload); torchvision.
    "AlexNet": (60_965_224, 0.72),
    "AlexNetOneTower": (61_100_840, 0.71),
    # zfnet.net: the paper has no total; the layers of its figure 3 make what pytorchcv counts.
    "ZFNet": (62_357_608, None),
    # nin.net: pytorchcv; the authors' model for Caffe.
    "NIN": (966_986, None),
    "ImageNetNIN": (7_595_176, None),
    # vgg.net: torchvision.
    "VGG11": (132_863_336, 7.61),
    "VGG13": (133_047_848, 11.31),
    "VGG16": (138_357_544, 15.47),
    "VGG19": (143_667_240, 19.63),
    "VGG11bn": (132_868_840, 7.61),
    "VGG13bn": (133_053_736, 11.31),
    "VGG16bn": (138_365_992, 15.47),
    "VGG19bn": (143_678_248, 19.63),
    # googlenet.net: Caffe's bvlc_googlenet, both auxiliary heads counted.
    "GoogLeNet": (13_378_280, 1.59),
    # inception_bn.net: pytorchcv, and pretrainedmodels of Cadene.
    "InceptionBN": (11_295_240, None),
    # resnet.net: torchvision; for v1 the paper has 3.8, 7.6 and 11.3, Abdelouahab's CNN-Workload
    # counts what is here in the authors' files for Caffe.
    "ResNet18": (11_689_512, 1.81),
    "ResNet34": (21_797_672, 3.66),
    "ResNet50": (25_557_032, 4.09),
    "ResNet101": (44_549_160, 7.80),
    "ResNet152": (60_192_808, 11.51),
    "ResNet50v1": (25_557_032, 3.86),
    "ResNet101v1": (44_549_160, 7.57),
    "ResNet152v1": (60_192_808, 11.28),
    # resnet_cifar.net: 0.27, 0.46, 0.66, 0.85 and 1.7 million in the paper's table 6; to the digit
    # 97,216 n - 21,926, by hand.
    "ResNet20": (269_722, None),
    "ResNet32": (464_154, None),
    "ResNet44": (658_586, None),
    "ResNet56": (853_018, None),
    "ResNet110": (1_727_962, None),
    # resnet_fashion.net: two channels of colour less in the first convolution.
    "FashionResNet20": (269_722 - 2 * 16 * 9, None),
    # stochastic_depth.net: the ResNet-110 of CIFAR-10, 1.7 million.
    "StochasticDepth110": (1_727_962, None),
    # preresnet.net: pytorchcv; 1.7 and 10.2 million in the paper for CIFAR-10.
    "PreResNet164": (1_703_258, None),
    "PreResNet1001": (10_327_706, None),
    "PreResNet152": (60_185_256, None),
    "PreResNet200": (64_666_280, None),
    # wide_resnet.net: 36.5, 11.0 and 8.9 million in the paper; torchvision for ImageNet.
    "WideResNet28_10": (36_479_194, 5.24),
    "WideResNet16_8": (10_961_370, None),
    "WideResNet40_4": (8_949_210, None),
    "WideResNet50_2": (68_883_240, 11.40),
    "WideResNet101_2": (126_886_696, 22.75),
    # resnext.net: torchvision.
    "ResNeXt50": (25_028_904, 4.23),
    "ResNeXt101_32x8d": (88_791_336, 16.41),
    "ResNeXt101_64x4d": (83_455_272, 15.46),
    # densenet.net: torchvision.
    "DenseNet121": (7_978_856, 2.83),
    "DenseNet161": (28_681_000, 7.73),
    "DenseNet169": (14_149_480, 3.36),
    "DenseNet201": (20_013_928, 4.29),
    # densenet_cifar.net: 1.0, 7.0, 27.2, 0.8, 15.3 and 25.6 million in the paper's table 2; to the
    # digit by twins in PyTorch.
    "DenseNet40": (1_019_722, None),
    "DenseNet100": (6_979_642, None),
    "DenseNet100_24": (27_249_082, None),
    "DenseNetBC100": (769_162, None),
    "DenseNetBC250": (15_324_406, None),
    "DenseNetBC190": (25_624_430, None),
    # unet.net: twins of the paper's figure 1 in Keras and PyTorch.
    "UNet": (31_030_658, None),
    # senet.net: timm (28.09, 49.33 and 66.82 million); the paper's 3.87 G counts more than MACs of
    # convolutions and dense layers, which are 3.86.
    "SEResNet50": (28_088_024, None),
    "SEResNet101": (49_326_872, None),
    "SEResNet152": (66_821_848, None),
    # mobilenet.net: Keras, trainable; 569 and 300 million MACs in the papers' tables 8 and 4.
    "MobileNet": (4_231_976, 0.57),
    "MobileNetV2": (3_504_872, 0.30),
    # xception.net: Keras, trainable; 8.4 G are quoted for it, 8.36 are here.
    "Xception": (22_855_952, None),
    # squeezenet.net: torchvision.
    "SqueezeNet": (1_248_424, 0.82),
    "SqueezeNet11": (1_235_496, 0.35),
    # fcn.net: 134 million in the paper's table 1, VGG-16 and the scores of 21 classes. Here also
    # the upsamplings, 21 * 21 * window ** 2 each.
    "FCN32s": (134_346_581 + 441 * 64**2, None),
    "FCN16s": (134_346_581 + 513 * 21 + 441 * (4**2 + 32**2), None),
    "FCN8s": (134_346_581 + (513 + 257) * 21 + 441 * (2 * 4**2 + 16**2), None),
    # fractalnet.net: a block of 3 columns has 3 convolutions from its input, 4 of its own width.
    "FractalNet": (
        sum(9 * c * (3 * b + 4 * c) + 7 * 2 * c for b, c in FRACTAL) + 513 * 10,
        None,
    ),
    # rnn.net: 322,080 before the last layer in Chollet 2017, listing 6.22.
    "ElmanSentiment": (322_080 + 33, None),
    # lstm.net: Keras counts 2,560,000 + 131,584 + 129; its example bidirectional_lstm_imdb has the
    # second.
    "Sentiment": (2_691_713, None),
    "BidirectionalSentiment": (2_757_761, None),
    # gru.net: TensorFlow's tutorial text_generation, 16,896 + 3,938,304 + 67,650.
    "CharacterModel": (4_022_850, None),
    # vit.net: torchvision; timm for the smaller two.
    "ViTB16": (86_567_656, 17.56),
    "ViTS16": (22_050_664, None),
    "ViTTi16": (5_717_416, None),
}

# Lines of a net and of the blocks that it uses, without comments: what the language promises.
LINES = {"ResNet50": 25, "DenseNet121": 18, "GoogLeNet": 40}

# The nets whose files have a recipe, and data that every machine has for them to try it with.
RECIPES = {
    "Linear": "digits(pad=10)",
    "MLP": "digits(pad=10)",
    "Maxout": "digits(pad=10)",
    "Autoencoder": "digits(pad=10)",
    "LeNet5": "digits(pad=12)",
    "FashionResNet20": "digits(pad=10)",
}
SLOW = {"Autoencoder", "LeNet5", "FashionResNet20"}


def test_every_architecture_is_counted() -> None:
    assert FILES.keys() == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_architecture(name: str) -> None:
    graph = netdsl.load(FILES[name], name).graph
    learnt, macs = PUBLISHED[name]
    assert sum(map(graph.parameters, graph)) == learnt
    assert macs is None or round(sum(map(graph.macs, graph)) / 1e9, 2) == macs
    assert not [warning for warning in graph.warnings if warning.code != "W201"]


def test_googlenet_without_its_heads() -> None:
    graph = netdsl.load(FILES["GoogLeNet"], "GoogLeNet").graph
    assert sum(graph.parameters(node) for node in graph if not node.side) == 6_998_552
    assert graph.outputs == ("logits",)


def test_stochastic_depth_decays_linearly() -> None:
    graph = netdsl.load(FILES["StochasticDepth110"], "StochasticDepth110").graph
    rates = [node.layer.p for node in graph if isinstance(node.layer, DropPath)]
    assert rates == pytest.approx([0.5 * block / 54 for block in range(1, 55)])


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.net")), ids=lambda path: path.stem)
def test_file_is_formatted(path: Path) -> None:
    assert format_source(read(path)) == path.read_text()


@pytest.mark.parametrize("name", LINES)
def test_architecture_is_short(name: str) -> None:
    kinds = {region.kind for region in netdsl.load(FILES[name], name).graph.regions.values()}
    items = parse(read(FILES[name])).items
    used = [
        item.span.text
        for item in items
        if isinstance(item, ast.Default)
        or (isinstance(item, ast.Net) and item.name.text == name)
        or (isinstance(item, ast.Block) and item.name.text in kinds)
    ]
    lines = [line.strip() for text in used for line in text.splitlines()]
    code = [line for line in lines if line and not line.startswith("#")]
    assert 10 < len(code) <= LINES[name]


def test_every_recipe_is_tried() -> None:
    files = {path for path in SPECS.glob("*.net") if "\ntrain" in path.read_text()}
    assert {FILES[name] for name in RECIPES} == files


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in RECIPES],
)
def test_recipe(name: str) -> None:
    net = load(FILES[name], name, changes=[change(f"train.data={RECIPES[name]}")])
    assert net.recipe and net.recipe.data
    split = net.recipe.data.load(seed=0).train
    first, second = net.compile("cpu").fit(split.x, split.y, epochs=2)
    assert second["loss"] < first["loss"]
