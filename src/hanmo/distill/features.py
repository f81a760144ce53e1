"""Methods that teach through inner features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hanmo.distill.layers import STAGES, Layered, in_float32, pooled, same_size, total
from hanmo.distill.method import register
from hanmo.errors import ConfigError
from hanmo.nets.feature_hooks import Output


def attention_map(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H·W): where the layer is active, mean of squares over channels, unit length."""
    return F.normalize(features.float().square().mean(1).flatten(1), dim=-1)


def at_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of two attention maps (N, C, H, W; channels may differ, the larger map is averaged)."""
    student, teacher = same_size(student.float(), teacher.float())
    return (attention_map(student) - attention_map(teacher)).square().mean()


@in_float32
def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two maps (N, C, H, W), mean over pictures; channels are the samples.

    A channel is its places (H·W) at unit length, the kernel is the square of the dot product. Its mean over all pairs
    of channels is a dot product of second moments (H·W, H·W), so the discrepancy is a distance of two of these, and no
    matrix of channels by channels is needed.
    """
    student, teacher = same_size(student, teacher)

    def moments(features: Tensor) -> Tensor:
        channels = F.normalize(features.flatten(2), dim=2)
        return torch.einsum("ncp,ncq->npq", channels, channels) / channels.shape[1]

    return (moments(student) - moments(teacher)).square().sum((1, 2)).mean()


@in_float32
def flow(first: Tensor, second: Tensor) -> Tensor:
    """How channels of two maps of one net go together: (N, C, H, W), (N, D, H', W') -> (N, C, D), mean over places."""
    first, second = same_size(first, second)
    return torch.einsum("nchw,ndhw->ncd", first, second) / (first.shape[2] * first.shape[3])


def pkd_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of vectors (N, C) at unit length."""
    return F.mse_loss(F.normalize(student.float(), dim=-1), F.normalize(teacher.float(), dim=-1))


@register("at")
class AttentionTransfer(Layered):
    """AT. Zagoruyko, Komodakis, "Paying More Attention to Attention", ICLR 2017: sum over stages, weight 1000."""

    weight = 1000.0

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return total([at_loss(s, t) for s, t in self.pairs(student, teacher)])


@register("fitnet")
class FitNet(Layered):
    """A hint: from the student's map a 1x1 convolution and a norm are to guess the teacher's, in the middle of the net.

    Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015. There the hint is a stage of its own before KD; here
    it is learnt along with the rest, at the weight 100 and the layer of RepDistiller and mdistiller.
    """

    weight = 100.0

    def __init__(self, *, layers: tuple[str, ...] = ("layer2",), teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        for s, t in self.pairs(student, teacher):
            channels = t.shape[1]
            conv = nn.Conv2d(s.shape[1], channels, 1, bias=False)
            self.connectors.append(nn.Sequential(conv, nn.BatchNorm2d(channels)))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        losses = []
        for connector, pair in zip(self.connectors, self.pairs(student, teacher), strict=True):
            s, t = same_size(*pair)
            losses.append(F.mse_loss(connector(s).float(), t.float()))
        return total(losses)


@register("nst")
class NeuronSelectivityTransfer(Layered):
    """NST: the places that excite the student's channels are to be distributed as those of the teacher's.

    Huang, Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017, with the polynomial
    kernel (degree 2, no constant), as in RepDistiller and mdistiller; the weight 50 is theirs too.
    """

    weight = 50.0

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        return total([nst_loss(s, t) for s, t in self.pairs(student, teacher)])


@register("fsp")
class FlowOfSolutionProcedure(Layered):
    """FSP: the step from each layer to the next, as the products of their channels, is to be the teacher's.

    Yim et al., "A Gift from Knowledge Distillation", CVPR 2017. There it starts a net off, and both have the same
    channels; here it is learnt along with the rest, by 1x1 convolutions where channels differ. Weight 50 as in
    RepDistiller.
    """

    weight = 50.0

    def __init__(self, *, layers: tuple[str, ...] = STAGES, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        if len(layers) < 2:
            raise ConfigError(f"{self.name}: one layer has no flow to another; name at least two")
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_maps(student, teacher)
        for s, t in self.pairs(student, teacher):
            same = s.shape[1] == t.shape[1]
            self.connectors.append(nn.Identity() if same else nn.Conv2d(s.shape[1], t.shape[1], 1, bias=False))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        pairs = self.pairs(student, teacher)
        own = [connector(s) for connector, (s, _) in zip(self.connectors, pairs, strict=True)]
        given = [t for _, t in pairs]
        steps = range(len(pairs) - 1)
        return total([F.mse_loss(flow(own[i], own[i + 1]), flow(given[i], given[i + 1])) for i in steps])


@register("pkd")
class PatientKD(Layered):
    """PKD: pooled features of several layers are to point where the teacher's do.

    Sun et al., "Patient Knowledge Distillation for BERT Model Compression", EMNLP 2019, where the features are those
    of the first token; here of a map they are the averages of its channels, and a linear layer bridges other widths.
    The paper chooses the weight among 10, 100, 500 and 1000 for each task.
    """

    weight = 100.0

    def __init__(self, *, layers: tuple[str, ...] = STAGES, teacher_layers: tuple[str, ...] = ()) -> None:
        super().__init__(layers=layers, teacher_layers=teacher_layers)
        self.connectors = nn.ModuleList()

    def connect(self, student: Output, teacher: Output) -> None:
        self.need_vectors(student, teacher)
        for s, t in self.pairs(student, teacher):
            inputs, outputs = pooled(s).shape[1], pooled(t).shape[1]
            self.connectors.append(nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs))

    def loss(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        pairs = zip(self.connectors, self.pairs(student, teacher), strict=True)
        return total([pkd_loss(connector(pooled(s)), pooled(t)) for connector, (s, t) in pairs])
