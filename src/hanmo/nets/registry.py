"""The registry of nets: a name and a few options -> a network.

To add a net, write a function in a module of its own, register it, and import that module in
``hanmo/nets/__init__.py``; recipes then know it by that name::

    @register_net("mine", unsupported=("stem", "kernel"))  # options that recipes may not set for it
    def mine(config: NetConfig, classes: int, side: int) -> nn.Module:
        return MyNet(classes, width=config.width)  # (N, 1, side, side) float -> logits (N, classes)

Methods that compare features expect stages named ``layer1`` to ``layer4``, then ``pool`` and ``fc``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from hanmo.config import nearest
from hanmo.errors import ConfigError
from hanmo.nets.attention import ATTENTION, REDUCING, attention_maker
from hanmo.nets.bag_of_features import WORDS
from hanmo.nets.classics import alexnet, googlenet, melnyk_net, vgg16_bn
from hanmo.nets.mobile import MobileNet
from hanmo.nets.planes import Planes
from hanmo.nets.resnet import BasicBlock, Bottleneck, Pool, ResNet, Stem
from hanmo.nets.spatial import SpatialResNet
from hanmo.nets.staged import MIN_CHANNELS
from hanmo.nets.vit import VisionTransformer

MAX_WIDTH, MAX_BOTTLENECK, MAX_DEPTH, MAX_WORDS = 1024, 65_536, 256, 16_384


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """The net section of a recipe.

    ``name``: a key of :data:`NETS`.
    ``attention``: a key of :data:`hanmo.nets.attention.ATTENTION`.
    ``reduction``: by how much the attention modules ``se`` and ``cbam`` reduce the channels. None: 16, as published.
    ``width``: channels of a ResNet's first stage, 64 as published; other nets' channels are multiplied by width / 64.
    ``stem``, ``pool``: as in :class:`hanmo.nets.resnet.ResNet`.
    ``dropout``: share of features dropped before the classifier.
    ``depths``: number of blocks in each of a ResNet's four stages. None: the net's own.
    ``kernel``: size of a ResNet's first convolution. None: the net's own.
    ``bottleneck``: features between a ResNet's pooling and its classifier, by a linear layer; None: no such layer. It
    makes the classifier of many classes smaller.
    ``planes``: hand-made input planes of a ResNet or of ``googlenet``: ``gradient`` is the picture and eight directions
    of its gradient, ``directmap`` the directions alone (:class:`hanmo.nets.planes.InputPlanes`). None: the picture.
    ``words``: size of the codebook of the pool ``bag-of-features``; None: 128.
    ``max_pool``: ``stochastic`` moves the regions of the max-pools of ``vgg16-bn`` at random in training
    (:class:`hanmo.nets.stochastic_pooling.StochasticMaxPool`). None: plain max-pools.

    Raises :class:`ConfigError` for unknown names, impossible values, and options that the net does not support
    (:data:`UNSUPPORTED_OPTIONS`).
    """

    name: str = "resnet18"
    attention: str = "none"
    width: int = 64
    stem: Stem = "stride2"
    pool: Pool = "average"
    dropout: float = 0.0
    depths: tuple[int, ...] | None = None
    kernel: Literal[3, 5] | None = None
    # None and not 0: it is then left out of recipes that are written, so that those of before stay the same.
    bottleneck: int | None = None
    planes: Planes | None = None
    words: int | None = None
    reduction: int | None = None
    max_pool: Literal["stochastic"] | None = None

    def __post_init__(self) -> None:
        _require_known("net", self.name, NETS)
        _require_known("attention", self.attention, ATTENTION)
        if self.reduction is not None and (self.attention not in REDUCING or self.reduction < 1):
            raise ConfigError(f"reduction {self.reduction}: 1 or more, with attention {' or '.join(REDUCING)}")
        if self.width < MIN_CHANNELS:
            raise ConfigError(f"width {self.width} is too small: at least {MIN_CHANNELS} channels")
        # Far beyond any published net. A forged file could ask for more memory than there is, or for days of building.
        if self.width > MAX_WIDTH or (self.bottleneck or 0) > MAX_BOTTLENECK or max(self.depths or (0,)) > MAX_DEPTH:
            raise ConfigError(
                f"a net of width {self.width}, bottleneck {self.bottleneck} and depths {self.depths} is too large: at "
                f"most {MAX_WIDTH}, {MAX_BOTTLENECK} and {MAX_DEPTH} each"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout {self.dropout} is not a share: at least 0 and under 1")
        if self.bottleneck is not None and self.bottleneck < 1:
            raise ConfigError(f"bottleneck {self.bottleneck}: at least 1 feature; leave it out for no such layer")
        if self.words is not None and self.pool != "bag-of-features":
            raise ConfigError(f"words {self.words}: is for pool 'bag-of-features'; leave it out")
        if self.words is not None and not 2 <= self.words <= MAX_WORDS:
            raise ConfigError(f"words {self.words}: 2 to {MAX_WORDS:,}")
        if self.depths is not None and (len(self.depths) != 4 or min(self.depths) < 1):
            raise ConfigError(f"depths {list(self.depths)}: the blocks of four stages, at least 1 each")
        for option in UNSUPPORTED_OPTIONS.get(self.name, ()):
            # The class attribute of a dataclass field is its default.
            value = getattr(self, option)
            if value != getattr(NetConfig, option):
                raise ConfigError(f"{option} = {value!r}: net {self.name!r} has no option {option}; leave it out")

    def __str__(self) -> str:
        parts = [self.name]
        # Only options that differ from the default appear, so that the usual nets have short names.
        parts += [f"x{self.width / 64:g}"] if self.width != 64 else []
        parts += [self.stem] if self.stem != "stride2" else []
        parts += ["-".join(map(str, self.depths))] if self.depths else []
        parts += [f"kernel{self.kernel}"] if self.kernel else []
        parts += [f"bottleneck{self.bottleneck}"] if self.bottleneck else []
        parts += [f"{self.planes}-planes"] if self.planes else []
        parts += [f"{self.pool}-pool"] if self.pool != "average" else []
        parts += [f"words{self.words}"] if self.words else []
        parts += [f"{self.max_pool}-max-pool"] if self.max_pool else []
        parts += [self.attention] if self.attention != "none" else []
        parts += [f"reduction{self.reduction}"] if self.reduction else []
        return "+".join(parts)


Builder = Callable[[NetConfig, int, int], nn.Module]
NETS: dict[str, Builder] = {}
"""Name in recipes -> function that builds the net."""
UNSUPPORTED_OPTIONS: dict[str, tuple[str, ...]] = {}
"""A net's name -> the options of :class:`NetConfig` that it does not support."""


def register_net(name: str, unsupported: Iterable[str] = ()) -> Callable[[Builder], Builder]:
    """Make a function (NetConfig, classes, side) -> net known to recipes as ``name``.

    Recipes that set one of the ``unsupported`` options are refused. A later registration of the same name replaces it.
    """

    def add(builder: Builder) -> Builder:
        NETS[name] = builder
        UNSUPPORTED_OPTIONS[name] = tuple(unsupported)
        return builder

    return add


def build_net(config: NetConfig, classes: int, side: int = 64) -> nn.Module:
    """An untrained net: pictures (N, 1, side, side) float -> logits (N, classes)."""
    return NETS[config.name](config, classes, side)


def build_shapes(config: NetConfig, classes: int, side: int) -> nn.Module:
    """As :func:`build_net`, but of parameters that have shapes and no memory (on torch's device "meta")."""
    with torch.device("meta"), _Uninitialised():
        return build_net(config, classes, side)


class _Uninitialised(TorchFunctionMode):
    """Skips what would fill a tensor without memory; for its first ``normal_``, torch would import 800 modules."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name: str = getattr(func, "__name__", "")
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place and args and isinstance(args[0], torch.Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def count_parameters(net: nn.Module) -> int:
    """The number of trainable parameters; running statistics of norms are not counted."""
    return sum(p.numel() for p in net.parameters())


def count_macs(net: nn.Module, side: int) -> int:
    """MACs, the multiply-accumulate operations for one (1, 1, side, side) picture: convolutions and matrix products."""
    device = next(net.parameters()).device
    # In training mode the blank picture would change the running statistics, and norms refuse one value a channel.
    was_training = net.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 1, side, side, device=device))
    net.train(was_training)
    return int(counter.get_total_flops()) // 2  # a multiply-accumulate counts as two operations


@cache
def net_size(config: NetConfig, classes: int, side: int) -> tuple[int, int]:
    """Parameters and MACs (:func:`count_parameters`, :func:`count_macs`) of a net, without memory for its weights.

    Raises :class:`ConfigError` for a net that cannot be built.
    """
    # Counting builds the net, and many rows and trials share one: each is counted once.
    with torch.device("meta"):  # shapes without memory or computation
        net = build_net(config, classes, side)
    return count_parameters(net), count_macs(net, side)


def _resnet(block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...]) -> Builder:
    def build(config: NetConfig, classes: int, side: int) -> nn.Module:
        return ResNet(block, config.depths or depths, classes, **_resnet_options(config, side))

    return build


def _resnet_options(config: NetConfig, side: int) -> dict[str, Any]:
    """The options of a ResNet."""
    attention = attention_maker(config.attention, config.reduction)
    shape = {"stem": config.stem, "kernel": config.kernel, "pool": config.pool, "bottleneck": config.bottleneck or 0}
    shape["words"] = config.words or WORDS
    return {**shape, "planes": config.planes, "attention": attention, **_common_options(config, side)}


def _common_options(config: NetConfig, side: int) -> dict[str, Any]:
    """Options that most nets share."""
    return {"width": config.width, "dropout": config.dropout, "side": side}


# ResNet-16 is ours: the last stage holds most of the weights, so one block less there makes a much smaller file.
register_net("resnet16", unsupported=("max_pool",))(_resnet(BasicBlock, (2, 2, 2, 1)))
# The depths of ResNet-18, 34 and 50 are those of table 1 of He et al.
register_net("resnet18", unsupported=("max_pool",))(_resnet(BasicBlock, (2, 2, 2, 2)))
register_net("resnet34", unsupported=("max_pool",))(_resnet(BasicBlock, (3, 4, 6, 3)))
register_net("resnet50", unsupported=("max_pool",))(_resnet(Bottleneck, (3, 4, 6, 3)))


@register_net("stn-resnet18", unsupported=("max_pool",))
def _spatial(config: NetConfig, classes: int, side: int) -> nn.Module:
    return SpatialResNet(classes, depths=config.depths or (2, 2, 2, 2), **_resnet_options(config, side))


@register_net("mobilenet", unsupported=("stem", "pool", "depths", "kernel", "bottleneck", "planes", "max_pool"))
def _mobile(config: NetConfig, classes: int, side: int) -> nn.Module:
    attention = attention_maker(config.attention, config.reduction)
    return MobileNet(classes, width=config.width, attention=attention, dropout=config.dropout)


_SHAPE = ("attention", "stem", "pool", "depths", "kernel", "bottleneck")
"""Options of a ResNet's shape, which nets with a published shape have not."""


@register_net("googlenet", unsupported=(*_SHAPE, "max_pool"))
def _googlenet(config: NetConfig, classes: int, side: int) -> nn.Module:
    return googlenet(classes, planes=config.planes, **_common_options(config, side))


@register_net("vgg16-bn", unsupported=(*_SHAPE, "planes"))
def _vgg(config: NetConfig, classes: int, side: int) -> nn.Module:
    return vgg16_bn(classes, stochastic=config.max_pool == "stochastic", **_common_options(config, side))


def _register_fixed(name: str, make: Callable[..., nn.Module]) -> None:
    """Register a net whose only options are width and dropout."""

    @register_net(name, unsupported=(*_SHAPE, "planes", "max_pool"))
    def build(config: NetConfig, classes: int, side: int) -> nn.Module:
        return make(classes, **_common_options(config, side))


_register_fixed("alexnet", alexnet)
_register_fixed("melnyk-net", melnyk_net)
_register_fixed("vit", VisionTransformer)


def _require_known(kind: str, name: str, table: Collection[str]) -> None:
    if name not in table:
        raise ConfigError(f"{kind} {name!r} is unknown; {nearest(name, table)}")
