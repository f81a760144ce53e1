"""A small vision transformer.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; without a class token: the classifier
gets the average of the tokens (Beyer, Zhai, Kolesnikov, "Better plain ViT baselines for ImageNet-1k", 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hanmo.errors import ConfigError

PATCH, HEADS = 8, 4
"""Side of a patch in pixels, and number of attention heads. 64 pixels give 8 x 8 tokens."""
_DEPTHS = (1, 2, 2, 1)
"""Blocks in ``layer1`` to ``layer4``: six in all, split so that features can be compared at four depths."""


class Attention(nn.Module):
    """Multi-head self-attention, (N, T, C) -> (N, T, C), with :data:`HEADS` heads.

    Vaswani et al., "Attention Is All You Need", NeurIPS 2017. The products are written out instead of a fused kernel:
    64 tokens gain nothing from one, and plain products are counted, exported and quantised like any other.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.scale = (channels // HEADS) ** -0.5

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (N, HEADS, T, C/HEADS)
        # (N, HEADS, T, T): how much token i takes from token j. Without 1 / sqrt(C / HEADS) the products would grow
        # with the width and the softmax would saturate.
        weights = torch.softmax(q * self.scale @ k.transpose(-2, -1), -1)
        mixed: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Pre-norm transformer block: attention, then a hidden layer of 4 C units, each with a shortcut; (N, T, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attention = Attention(channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        after: Tensor = x + self.mlp(self.norm2(x))
        return after


class Patches(nn.Module):
    """(N, 1, S, S) -> tokens (N, (S/8)², C): each patch of 8x8 pixels projected, plus a learnt position embedding."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        # A convolution whose stride is its kernel is one linear layer on each patch. Attention knows no order, so each
        # place gets an embedding of its own, which is added.
        self.project = nn.Conv2d(1, channels, PATCH, PATCH)
        self.places = nn.Parameter(torch.empty(1, (side // PATCH) ** 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        tokens: Tensor = self.project(x).flatten(2).transpose(1, 2)
        return tokens + self.places


class TokenPooling(nn.Module):
    """(N, T, C) -> (N, C): layer norm, then the average over tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.norm(x).mean(1)
        return mean


class VisionTransformer(nn.Module):
    """(N, 1, S, S) -> logits (N, classes); 5,737,131 parameters (3,755 classes), 4,797,796 (100) at 64 pixels.

    ``width``: channels of one head; a token has four times as many. ``layer1`` to ``layer4`` return tokens (N, T, C) in
    reading order. For pictures of ``side`` S only. Raises :class:`ConfigError` for a side that is no multiple of 8.
    """

    def __init__(self, classes: int, *, width: int = 64, side: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        if side % PATCH:
            raise ConfigError(f"vit: pictures of {side} pixels do not split into patches of {PATCH}; a multiple of it")
        channels = HEADS * width
        self.stem = Patches(channels, side)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(*(Block(channels) for _ in range(depth))) for depth in _DEPTHS
        )
        self.pool = TokenPooling(channels)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, classes)
        # 0.02 and Xavier weights are the usual initialisation of vision transformers.
        nn.init.trunc_normal_(self.stem.places, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        logits: Tensor = self.fc(self.dropout(self.pool(x)))
        return logits
