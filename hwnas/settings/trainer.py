"""How a network is trained: settings only."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainerSettings(BaseModel):
    """The training of one candidate, whatever the network.

    The defaults are what worked best on digits among those tried in benchmarks/search_quality.py: the optimiser and the number of
    steps decide more than the search method does (METHODS.md, section 6). ``precision`` auto is bfloat16 autocast on CUDA, else
    float32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0, le=10)
    schedule: Literal["cosine", "constant"] = "cosine"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    batch_size: int = Field(default=16, ge=2, le=65536)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weighted: bool = False
    distil_share: float = Field(default=0.25, ge=0, le=1)
    distil_temperature: float = Field(default=2.0, gt=0, le=100)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
