"""The networks of the example zoo: five families of image classifiers for 8x8 grey images.

A network is ``nn.Sequential(backbone, head)``: the backbone maps images (n, 1, 8, 8) to penultimate
features (n, d), the head is one linear layer. `NETWORKS` names them and is all that the other
files of the zoo use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Architecture:
    """One network of the zoo before it has seen any data.

    Attributes
    ----------
    family : str
        The kind of network: "mlp", "cnn", "resnet", "mobilenet" or "vit".
    width : int
        Length d of the penultimate feature.
    build : callable
        Makes a backbone with freshly drawn weights, from torch's global generator.
    """

    family: str
    width: int
    build: Callable[[], nn.Module]


def with_head(backbone: nn.Module, width: int, n_classes: int) -> nn.Sequential:
    """Put a freshly drawn linear classifier on a backbone."""
    return nn.Sequential(backbone, nn.Linear(width, n_classes))


def count_parameters(backbone: nn.Module) -> int:
    """Count the trainable numbers of a backbone; the head is not among them."""
    return sum(p.numel() for p in backbone.parameters())


def count_layers(backbone: nn.Module) -> int:
    """Count the convolutions and linear layers of a backbone, and one for the head."""
    return 1 + sum(isinstance(m, nn.Conv2d | nn.Linear) for m in backbone.modules())


def mlp(widths: Sequence[int]) -> nn.Module:
    """Build a multi-layer perceptron on the 64 pixels, one hidden layer for each width."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in zip([64, *widths], widths, strict=False):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers)


def _convolution(
    channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            channels_in,
            channels_out,
            kernel,
            stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(channels_out),
    )


def _pool() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def cnn(channels: Sequence[int], strides: Sequence[int]) -> nn.Module:
    """Build a plain stack of 3x3 convolutions, batch normalised, with global average pooling."""
    layers: list[nn.Module] = []
    for fan_in, fan_out, stride in zip([1, *channels], channels, strides, strict=False):
        layers += [_convolution(fan_in, fan_out, stride), nn.ReLU()]
    return nn.Sequential(*layers, _pool())


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters (He et al., CVPR 2016, option A).

    Where the block shrinks the image, the shortcut takes every second pixel and fills the new
    channels with zeros.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(channels_in, channels_out, stride)
        self.second = _convolution(channels_out, channels_out)
        self.stride = stride
        self.new_channels = channels_out - channels_in

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(shortcut + self.second(F.relu(self.first(x))))


def resnet(channels: Sequence[int], blocks: int) -> nn.Module:
    """Build a residual network: for each channel count a stage of `blocks` blocks."""
    layers: list[nn.Module] = [_convolution(1, channels[0]), nn.ReLU()]
    fan_in = channels[0]
    for stage, fan_out in enumerate(channels):
        for block in range(blocks):
            shrinks = stage > 0 and block == 0
            layers.append(ResidualBlock(fan_in, fan_out, stride=2 if shrinks else 1))
            fan_in = fan_out
    return nn.Sequential(*layers, _pool())


def mobilenet(channels: Sequence[int], strides: Sequence[int]) -> nn.Module:
    """Build a stack of depthwise and pointwise convolutions (Howard et al., 2017)."""
    layers: list[nn.Module] = [_convolution(1, channels[0]), nn.ReLU()]
    for fan_in, fan_out, stride in zip(channels[:-1], channels[1:], strides, strict=True):
        layers += [_convolution(fan_in, fan_in, stride, groups=fan_in), nn.ReLU()]
        layers += [_convolution(fan_in, fan_out, kernel=1), nn.ReLU()]
    return nn.Sequential(*layers, _pool())


class TransformerBlock(nn.Module):
    """Self-attention and a two-layer perceptron, each after a layer norm and with a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        n, length, width = tokens.shape
        qkv = self.query_key_value(self.norm(tokens))
        query, key, value = qkv.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.mix(attended.transpose(1, 2).reshape(n, length, width))
        return tokens + self.perceptron(tokens)


class VisionTransformer(nn.Module):
    """A transformer over the sixteen 2x2 patches; its feature is the mean of the last tokens."""

    def __init__(self, width: int, depth: int, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, kernel_size=2, stride=2)
        self.position = nn.Parameter(0.02 * torch.randn(1, 16, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.position
        return self.norm(self.blocks(tokens)).mean(dim=1)


NETWORKS = {
    "mlp_narrow": Architecture("mlp", 24, lambda: mlp([48, 24])),
    "mlp_deep": Architecture("mlp", 64, lambda: mlp([96, 96, 96, 64])),
    "mlp_wide": Architecture("mlp", 128, lambda: mlp([256, 128])),
    "cnn_small": Architecture("cnn", 32, lambda: cnn([12, 24, 32], [1, 2, 2])),
    "cnn_wide": Architecture("cnn", 96, lambda: cnn([32, 48, 64, 96], [1, 2, 1, 2])),
    "resnet_small": Architecture("resnet", 40, lambda: resnet([10, 20, 40], blocks=1)),
    "resnet_deep": Architecture("resnet", 64, lambda: resnet([16, 32, 64], blocks=2)),
    "mobilenet_small": Architecture("mobilenet", 48, lambda: mobilenet([16, 32, 48], [2, 1])),
    "mobilenet_wide": Architecture(
        "mobilenet", 112, lambda: mobilenet([24, 48, 96, 112], [1, 2, 1])
    ),
    "vit_tiny": Architecture("vit", 24, lambda: VisionTransformer(24, depth=2)),
    "vit_small": Architecture("vit", 48, lambda: VisionTransformer(48, depth=3)),
}
