"""ONNX files as they come from outside: their constants, their image, their logits, and what they compute as a graph."""

from hwnas.onnxfiles.comparing import compare
from hwnas.onnxfiles.constants import constants_of
from hwnas.onnxfiles.image_input import BATCH, for_any_batch, image_of
from hwnas.onnxfiles.logits import cut_at_logits
from hwnas.onnxfiles.translating import Translated, translate

__all__ = ["BATCH", "Translated", "compare", "constants_of", "cut_at_logits", "for_any_batch", "image_of", "translate"]
