"""Distillation methods by name: importing this package registers them all."""

from hanmo.distill import adversarial as adversarial
from hanmo.distill import alone as alone
from hanmo.distill import distral as distral
from hanmo.distill import features as features
from hanmo.distill import forgetting as forgetting
from hanmo.distill import hints as hints
from hanmo.distill import logits as logits
from hanmo.distill import mce as mce
from hanmo.distill import mimic as mimic
from hanmo.distill import radicals as radicals
from hanmo.distill import relations as relations
from hanmo.distill import reuse as reuse
from hanmo.distill import review as review
from hanmo.distill.method import METHODS, Distillation, Method, build_method, register, register_method

__all__ = ["METHODS", "Distillation", "Method", "build_method", "register", "register_method"]
