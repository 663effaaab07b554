"""How a network is trained: settings only."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

TrainingDevice: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]


class TrainerSettings(BaseModel):
    """The training of one candidate, whatever the network.

    The defaults are what worked best on digits among those tried in benchmarks/search_quality.py: the optimiser and the number of
    steps decide more than the search method does (METHODS.md, section 6). ``precision`` auto is bfloat16 autocast on CUDA, else
    float32; ``device`` auto is CUDA, else MPS, else the CPU, whatever each worker has. While the first ``distil_share`` of the
    steps has a teacher, ``distil_mix`` is the teacher's part in its loss; with ``two_phase`` a child of an approximate morphism
    trains in these steps what its operators touched alone.

    For a training to the end: ``warm_up`` is the share of the steps over which the rate rises, ``decay_vectors`` whether weight
    decay pulls on batch norms and biases, ``average`` the decay of a moving average of the tensors (0: none). ``keep_best``
    evaluates on the validation data meanwhile and gives the best that was seen; with ``patience`` the training ends early where
    that share of its steps brought no smaller error.

    For networks from outside: ``frozen`` names tensors that stay as they are (a batch norm's statistics follow the data all the
    same), and over the first ``head_share`` of the steps the last layer alone is trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    decay_vectors: bool = True
    batch_size: int = Field(default=16, ge=2, le=65536)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weighted: bool = False
    distil_share: float = Field(default=0.25, ge=0, le=1)
    distil_mix: float = Field(default=1.0, gt=0, le=1)
    distil_temperature: float = Field(default=2.0, gt=0, le=100)
    two_phase: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    average: float = Field(default=0.0, ge=0, lt=1)
    keep_best: bool = False
    patience: float = Field(default=0.0, ge=0, le=1)
    frozen: tuple[str, ...] = ()
    head_share: float = Field(default=0.0, ge=0, lt=1)
    device: TrainingDevice = "auto"
