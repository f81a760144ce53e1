"""A name and a few options -> a network."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hanmo.config import nearest
from hanmo.errors import ConfigError
from hanmo.nets.attention import ATTENTION
from hanmo.nets.resnet import BasicBlock, Bottleneck, Pool, ResNet, Stem


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """What to build: ``name`` is a key of :data:`NETS`, ``attention`` one of
    :data:`hanmo.nets.attention.ATTENTION`, ``width`` the channels of the first stage, ``stem`` and ``pool`` as in
    :class:`hanmo.nets.resnet.ResNet`, ``dropout`` the share of features dropped before the classifier."""

    name: str = "resnet18"
    attention: str = "none"
    width: int = 64
    stem: Stem = "stride2"
    pool: Pool = "average"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _known("net", self.name, NETS)
        _known("attention", self.attention, ATTENTION)
        if self.width < 8:  # with fewer, torch 2.13 on CPUs without AVX-512 writes beyond its memory and aborts
            raise ConfigError(f"width {self.width} is too small: at least 8 channels")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} is not a share: at least 0 and under 1")

    def __str__(self) -> str:
        parts = [self.name]
        parts += [f"x{self.width / 64:g}"] if self.width != 64 else []
        parts += [self.stem] if self.stem != "stride2" else []
        parts += ["weighted-pool"] if self.pool == "weighted" else []
        parts += [self.attention] if self.attention != "none" else []
        return "+".join(parts)


Builder = Callable[[NetConfig, int, int], nn.Module]
NETS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Make ``name`` known to recipes; the decorated function takes (NetConfig, classes, side)."""

    def add(builder: Builder) -> Builder:
        NETS[name] = builder
        return builder

    return add


def build_net(config: NetConfig, classes: int, side: int = 64) -> nn.Module:
    """A freshly initialised net for pictures (N, 1, side, side), float, with ``classes`` logits."""
    return NETS[config.name](config, classes, side)


def count_parameters(net: nn.Module) -> int:
    """Numbers in a net that training sets (statistics of norms are not among them)."""
    return sum(p.numel() for p in net.parameters())


def count_macs(net: nn.Module, side: int) -> int:
    """Multiply-accumulate operations for one (1, 1, side, side) picture: convolutions and matrix products."""
    device = next(net.parameters()).device
    was_training = net.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 1, side, side, device=device))
    net.train(was_training)
    return int(counter.get_total_flops()) // 2


def _resnet(block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, int, int, int]) -> Builder:
    def build(config: NetConfig, classes: int, side: int) -> nn.Module:
        return ResNet(
            block,
            depths,
            classes,
            width=config.width,
            stem=config.stem,
            pool=config.pool,
            side=side,
            attention=ATTENTION[config.attention],
            dropout=config.dropout,
        )

    return build


NETS["resnet16"] = _resnet(BasicBlock, (2, 2, 2, 1))  # the last stage holds most weights: for small files
NETS["resnet18"] = _resnet(BasicBlock, (2, 2, 2, 2))
NETS["resnet34"] = _resnet(BasicBlock, (3, 4, 6, 3))
NETS["resnet50"] = _resnet(Bottleneck, (3, 4, 6, 3))


def _known(kind: str, name: str, table: Collection[str]) -> None:
    if name not in table:
        raise ConfigError(f"{kind} {name!r} is unknown; {nearest(name, table)}")
