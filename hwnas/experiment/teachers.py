"""Who teaches the networks that are trained to the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.errors import RequestError
from hwnas.execution import Executor
from hwnas.experiment.brought_teacher import BroughtTeacher, bring
from hwnas.experiment.context import RunContext
from hwnas.experiment.original import teaching_row
from hwnas.graph import Graph
from hwnas.importing import is_source_name
from hwnas.models.loading import refuse_untrained
from hwnas.store import Row, RunStore

ORIGINAL = "original"  # the network that was brought, of those that descend from it
BEST = "best"  # of the run, for networks that it is clearly better than
NONE = "none"
BETTER = 0.8  # a teacher is clearly better than networks whose error times this is above its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A network that is asked to teach, and its validation error; ``brought`` where it comes from outside the run."""

    id: str
    graph: Graph
    error: float
    brought: BroughtTeacher | None = None


def teacher_asked_for(
    asked: str, context: RunContext, store: RunStore, executor: Executor, rows: Mapping[str, Row], front: Sequence[str]
) -> Teacher | None:
    """The one teacher that is asked for, by its id, as the best, or from outside; None for the originals and for none.

    Nothing is stored. Raises RequestError where there is no such network, or it cannot teach.
    """
    if asked in (ORIGINAL, NONE) or (asked == BEST and not front):
        return None
    name = front[0] if asked == BEST else asked
    if name in rows:
        refuse_unfit(store, [rows[name]], "a teacher")
        return Teacher(id=name, graph=rows[name].candidate.graph, error=rows[name].values["error"])
    if not is_source_name(name):
        raise RequestError(
            f"no teacher {name} in {store.folder}; see: hwnas front {store.folder} --all. A network from outside is named as by "
            "--start: PACKAGE.MODULE:FACTORY, MODEL.onnx, MODEL.pt2 or timm:NAME"
        )
    brought = bring(name, context, executor)
    return Teacher(id=brought.id, graph=brought.graph, error=brought.error, brought=brought)


def teachers_of(
    asked: str, teacher: Teacher | None, chosen: Sequence[Row], context: RunContext, store: RunStore, rows: Mapping[str, Row]
) -> list[str | None]:
    """Who teaches each chosen network: its original, or the teacher asked for. The best teaches those that it is clearly better
    than, one from outside those that err more often than it.

    Raises RequestError where that teacher fits no network, or one from outside would teach nobody.
    """
    if asked == ORIGINAL and context.config.original_teaches and context.starts:
        originals = [teaching_row(store, row, rows) for row in chosen]
        return [None if original is None else original.id for original in originals]
    if teacher is None:
        return [None] * len(chosen)
    for row in chosen:
        refuse_other_teacher(teacher.graph, row.candidate.graph)
    worst = max((row.values["error"] for row in chosen), default=1.0)
    if teacher.brought is not None and teacher.error >= worst:
        raise RequestError(
            f"the teacher {asked} errs on {teacher.error:.2%} of the validation images, and none of the networks that it is to "
            "teach more often. Was it trained for these classes, in this order, and for images normalised like the run's?"
        )
    return [teacher.id if _teaches(teacher, row, asked) else None for row in chosen]


def _teaches(teacher: Teacher, row: Row, asked: str) -> bool:
    if teacher.id == row.id:
        return False
    if asked == BEST:
        return teacher.error < BETTER * row.values["error"]
    return teacher.brought is None or teacher.error < row.values["error"]


def refuse_unfit(store: RunStore, rows: Sequence[Row], what: str) -> None:
    """Raise RequestError for networks that were never trained, whose weights are gone, or that learned the validation images;
    ``what`` they were to be."""
    refuse_untrained(rows, what)
    for row in rows:
        if row.outcome is not None and row.outcome.status == "unvalidated":
            raise RequestError(
                f"{row.id} learned the validation images, and what learns from it has seen them, too: it cannot be {what}; take "
                f"{row.parent}, from which it was trained"
            )
    gone = [row.id for row in rows if row.outcome and row.outcome.weights and not store.has_weights(row.outcome.weights)]
    if gone:
        raise RequestError(f"the weights of {', '.join(gone)} were collected (--keep front); choose networks of the front")


def refuse_other_teacher(teacher: Graph, student: Graph) -> None:
    """Raise RequestError for a teacher that takes other images, or knows other classes, than its student."""
    takes, expected = (tuple(graph.shapes[graph.input.id]) for graph in (teacher, student))
    if (takes, teacher.classes) != (expected, student.classes):
        raise RequestError(
            f"the teacher takes images of shape {takes} and knows {teacher.classes} classes, its student {expected} and "
            f"{student.classes}; choose another with --teacher"
        )
