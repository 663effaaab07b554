"""What is looked at while a network trains: its loss, a moving average of its tensors, its validation error."""

import math
from dataclasses import dataclass, field

from torch import Tensor

from hwnas.candidate import CurvePoint
from hwnas.data import DataSet
from hwnas.errors import DivergedError
from hwnas.network import Network, State
from hwnas.settings import TrainerSettings
from hwnas.training.averaging import MovingAverage
from hwnas.training.evaluation import Evaluation, evaluate

# How often the loop looks at its loss.
CHECK_EVERY = 32
# Evaluating an image costs a third of training on one, two thirds where that is done in bfloat16: so much training between two
# evaluations that they take 2 % of the time.
TRAINED_PER_EVALUATED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a watch remembers between two parts of a training.

    ``losses`` are those looked at since the last point of the ``curve``; ``best`` the tensors with the least validation error so
    far, ``best_at`` their step and ``best_score`` their (error, cross-entropy).
    """

    curve: tuple[CurvePoint, ...] = ()
    losses: tuple[float, ...] = ()
    average: State = field(default_factory=dict)
    best: State = field(default_factory=dict)
    best_at: int = 0
    best_score: tuple[float, float] = (math.inf, math.inf)


class Watch:
    """Looks at a training of ``steps`` steps.

    Where the settings say ``keep_best``, the network, or its moving average where there is one, is evaluated now and then, both
    at the end; the best by (error, cross-entropy) on the validation data is what the training gives.
    """

    def __init__(
        self, network: Network, data: DataSet, settings: TrainerSettings, *, steps: int, metric: str, before: Watched | None
    ) -> None:
        self._network = network
        self._data = data
        self._settings = settings
        self._metric = metric
        self._steps = steps
        shown_between = max(len(data.train), TRAINED_PER_EVALUATED * len(data.validation))
        self._every = max(1, round(shown_between / settings.batch_size))
        self._average = MovingAverage(network, settings.average) if settings.average > 0 else None
        before = before or Watched()
        self.curve = list(before.curve)
        self._losses = list(before.losses)
        self._best, self._best_at, self._best_score = before.best, before.best_at, before.best_score
        self._evaluation: Evaluation | None = None  # of the best so far, where it was found in this part
        if self._average is not None and before.average:
            self._average.restore(before.average)

    def after(self, step: int, loss: Tensor) -> bool:
        """Look at what step ``step`` (from 1) did; whether the training is to end here, be it early.

        Raises DivergedError within 32 steps of the loss ceasing to be finite.
        """
        if self._average is not None:
            self._average.update(step)
        is_last = step == self._steps
        evaluates = self._settings.keep_best and (is_last or step % self._every == 0)
        if step % CHECK_EVERY == 0 or is_last or evaluates:
            self._losses.append(_finite(loss, step))
        if evaluates:
            self._evaluate(step, is_last=is_last)
        elif is_last or step == CHECK_EVERY:
            self._point(step, None)
        return is_last or (evaluates and self._is_in_vain(step))

    def remembered(self) -> Watched:
        """What continuing needs; copies."""
        average = {} if self._average is None else _copied(self._average.state())
        return Watched(
            curve=tuple(self.curve),
            losses=tuple(self._losses),
            average=average,
            best=self._best,
            best_at=self._best_at,
            best_score=self._best_score,
        )

    def finish(self) -> Evaluation | None:
        """Give the network the tensors that are kept, and their evaluation where it was made in this part."""
        if self._best:
            self._network.load(self._best)
        elif self._average is not None:
            self._network.load(self._average.state())
        return self._evaluation

    def _evaluate(self, step: int, *, is_last: bool) -> None:
        own = _copied(self._network.state_dict())
        tried = [] if self._average is None else [_copied(self._average.state())]
        if is_last or not tried:
            tried.append(own)
        errors = []
        for state in tried:
            self._network.load(state)
            found = evaluate(self._network, self._data, self._data.validation)
            score = (found.by(self._metric)[0], found.loss)
            errors.append(score[0])
            if score <= self._best_score:
                self._best, self._best_at, self._best_score, self._evaluation = state, step, score, found
        self._network.load(own)
        self._network.train()
        self._point(step, min(errors))

    def _point(self, step: int, error: float | None) -> None:
        loss = sum(self._losses) / len(self._losses)
        self.curve.append(CurvePoint(images=step * self._settings.batch_size, loss=loss, error=error))
        self._losses.clear()

    def _is_in_vain(self, step: int) -> bool:
        """Whether the validation error has not fallen over the last ``patience`` of the steps, rising rates not counted."""
        patience = self._settings.patience * self._steps
        since = max(self._best_at, self._settings.warm_up * self._steps)
        return patience > 0 and step - since >= patience


def _copied(state: State) -> State:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _finite(loss: Tensor, step: int) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise DivergedError(f"the training loss became {value} by step {step}; lower the learning rate (trainer.learning_rate)")
    return float(value)
