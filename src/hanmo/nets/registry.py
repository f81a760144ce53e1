"""A name and a few options -> a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hanmo.config import nearest
from hanmo.errors import ConfigError
from hanmo.nets.attention import ATTENTION
from hanmo.nets.classics import alexnet, googlenet, melnyk_net, vgg16_bn
from hanmo.nets.mobile import MobileNet
from hanmo.nets.resnet import BasicBlock, Bottleneck, Pool, ResNet, Stem
from hanmo.nets.spatial import SpatialResNet
from hanmo.nets.staged import MIN_CHANNELS
from hanmo.nets.vit import VisionTransformer


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """What to build: ``name`` is a key of :data:`NETS`, ``attention`` one of
    :data:`hanmo.nets.attention.ATTENTION`, ``width`` the channels of a ResNet's first stage, 64 as published (other
    nets' channels are multiplied by ``width``/64), ``stem`` and ``pool`` as in :class:`hanmo.nets.resnet.ResNet`,
    ``dropout`` the share of features dropped before the classifier. ``depths`` are the blocks of a ResNet's four
    stages and ``kernel`` the size of its first convolution (None: the net's own). What a net has no choice of
    (:data:`LACKS`) is refused."""

    name: str = "resnet18"
    attention: str = "none"
    width: int = 64
    stem: Stem = "stride2"
    pool: Pool = "average"
    dropout: float = 0.0
    depths: tuple[int, ...] | None = None
    kernel: Literal[3, 5] | None = None

    def __post_init__(self) -> None:
        _known("net", self.name, NETS)
        _known("attention", self.attention, ATTENTION)
        if self.width < MIN_CHANNELS:
            raise ConfigError(f"width {self.width} is too small: at least {MIN_CHANNELS} channels")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} is not a share: at least 0 and under 1")
        if self.depths is not None and (len(self.depths) != 4 or min(self.depths) < 1):
            raise ConfigError(f"depths {list(self.depths)}: the blocks of four stages, at least 1 each")
        for option in LACKS.get(self.name, ()):
            value = getattr(self, option)
            if value != getattr(NetConfig, option):
                raise ConfigError(f"{option} = {value!r}: net {self.name!r} has no choice of {option}; leave it out")

    def __str__(self) -> str:
        parts = [self.name]
        parts += [f"x{self.width / 64:g}"] if self.width != 64 else []
        parts += [self.stem] if self.stem != "stride2" else []
        parts += ["-".join(map(str, self.depths))] if self.depths else []
        parts += [f"kernel{self.kernel}"] if self.kernel else []
        parts += ["weighted-pool"] if self.pool == "weighted" else []
        parts += [self.attention] if self.attention != "none" else []
        return "+".join(parts)


Builder = Callable[[NetConfig, int, int], nn.Module]
NETS: dict[str, Builder] = {}
LACKS: dict[str, tuple[str, ...]] = {}
"""A net's name -> the options of :class:`NetConfig` that it has no choice of."""


def register(name: str, lacks: Iterable[str] = ()) -> Callable[[Builder], Builder]:
    """Make ``name`` known to recipes; the decorated function takes (NetConfig, classes, side).

    Recipes that give one of the options it ``lacks`` are refused.
    """

    def add(builder: Builder) -> Builder:
        NETS[name] = builder
        LACKS[name] = tuple(lacks)
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


def _resnet(block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...]) -> Builder:
    def build(config: NetConfig, classes: int, side: int) -> nn.Module:
        return ResNet(block, config.depths or depths, classes, **_residual(config, side))

    return build


def _residual(config: NetConfig, side: int) -> dict[str, Any]:
    """The options of a ResNet."""
    attention = ATTENTION[config.attention]
    shape = {"stem": config.stem, "kernel": config.kernel, "pool": config.pool}
    return {**shape, "attention": attention, **_sized(config, side)}


def _sized(config: NetConfig, side: int) -> dict[str, Any]:
    """The options that every net has."""
    return {"width": config.width, "dropout": config.dropout, "side": side}


NETS["resnet16"] = _resnet(BasicBlock, (2, 2, 2, 1))  # the last stage holds most weights: for small files
NETS["resnet18"] = _resnet(BasicBlock, (2, 2, 2, 2))
NETS["resnet34"] = _resnet(BasicBlock, (3, 4, 6, 3))
NETS["resnet50"] = _resnet(Bottleneck, (3, 4, 6, 3))


@register("stn-resnet18")
def _spatial(config: NetConfig, classes: int, side: int) -> nn.Module:
    return SpatialResNet(classes, depths=config.depths or (2, 2, 2, 2), **_residual(config, side))


@register("mobilenet", lacks=("stem", "pool", "depths", "kernel"))
def _mobile(config: NetConfig, classes: int, side: int) -> nn.Module:
    return MobileNet(classes, width=config.width, attention=ATTENTION[config.attention], dropout=config.dropout)


def _plain(name: str, make: Callable[..., nn.Module]) -> None:
    """Register a net that has a width and dropout, and nothing else to choose."""

    @register(name, lacks=("attention", "stem", "pool", "depths", "kernel"))
    def build(config: NetConfig, classes: int, side: int) -> nn.Module:
        return make(classes, **_sized(config, side))


_plain("alexnet", alexnet)
_plain("vgg16-bn", vgg16_bn)
_plain("googlenet", googlenet)
_plain("melnyk-net", melnyk_net)
_plain("vit", VisionTransformer)


def _known(kind: str, name: str, table: Collection[str]) -> None:
    if name not in table:
        raise ConfigError(f"{kind} {name!r} is unknown; {nearest(name, table)}")
