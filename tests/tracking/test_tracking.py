"""A real run in real trackers: what they hold is read back with their own readers, and a second time adds only what is new."""

import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import hwnas
from hwnas.api import Run
from hwnas.api.watching import watch
from hwnas.candidate import Failure, Outcome
from hwnas.errors import RequestError, TrackerError
from hwnas.store import RunStore
from hwnas.tracking.record import shown
from tests.conftest import Made
from tests.conftest import hwnas as command

EXTRA = "is in the extra {0}: pip install 'hwnas[{0}]'"


@pytest.fixture
def run(tiny_run: Made, tmp_path: Path) -> Run:
    return hwnas.open_run(shutil.copytree(tiny_run.folder, tmp_path / "run"))


def truncate(run: Run, keep: int) -> None:
    """As the run was when ``keep`` networks had ended."""
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as connection, connection:
        connection.execute(
            "DELETE FROM final_values WHERE candidate_id NOT IN (SELECT candidate_id FROM outcomes ORDER BY sequence LIMIT ?)",
            (keep,),
        )
        connection.execute(
            "DELETE FROM outcomes WHERE candidate_id NOT IN (SELECT candidate_id FROM outcomes ORDER BY sequence LIMIT ?)",
            (keep,),
        )


def fail_one(run: Run) -> str:
    """A network of the run whose training failed; gives its id."""
    with RunStore.open(run.folder, write=True) as store:
        outcome = next(store.outcomes())
    failure = Failure(kind="diverged", message="its loss became infinite")
    failed = Outcome(candidate_id=outcome.candidate_id, status="failed", failure=failure)
    with RunStore.open(run.folder, write=True) as store:
        store.revise([failed])
    return failed.candidate_id


@pytest.fixture(scope="module")
def empty_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Optuna's tables, whose making takes a second or two."""
    optuna = pytest.importorskip("optuna", reason=EXTRA.format("optuna"))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = tmp_path_factory.mktemp("optuna") / "optuna.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    return path


@pytest.fixture
def url(empty_storage: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_storage, tmp_path / 'optuna.db')}"


class TestOptuna:
    """A study that Optuna loads."""

    def test_the_best_trials_are_the_networks_that_no_other_dominates(self, run: Run, url: str) -> None:
        import optuna

        truncate(run, 12)  # some of the second generation, which have parents
        (tracked,) = run.track(optuna=url)
        study = optuna.load_study(study_name="run", storage=url)
        rows = {
            entry.id: [entry.row.values[o.name] for o in run.objectives] for entry in run.rows() if entry.status == "finished"
        }
        assert {trial.user_attrs["id"]: trial.values for trial in study.trials} == rows
        undominated = {
            id
            for id, values in rows.items()
            if not any(o != values and all(a <= b for a, b in zip(o, values, strict=True)) for o in rows.values())
        }
        best = {trial.user_attrs["id"] for trial in study.best_trials}
        front = [entry.id for entry in run.front()]
        assert best == undominated
        assert set(front) <= best
        assert study.user_attrs["front"] == front
        assert study.metric_names == ["error", "parameters", "macs"]
        assert (tracked.added, tracked.known, tracked.left_out) == (len(rows), 0, 0)
        attributes = study.trials[-1].user_attrs
        entry = next(entry for entry in run.rows() if entry.id == attributes["id"])
        assert (attributes["operator"], attributes["parent"]) == (entry.row.operator, entry.row.parent)
        assert attributes["architecture_id"] == entry.row.architecture_id

    def test_a_second_time_adds_only_what_is_new(self, run: Run, url: str, tmp_path: Path) -> None:
        import optuna

        early = hwnas.open_run(shutil.copytree(run.folder, tmp_path / "early"))
        truncate(early, 3)
        assert early.track(optuna=url, name="mine")[0].added == 3
        truncate(run, 5)
        count = len(run.rows())
        assert [each.added for _ in range(2) for each in run.track(optuna=url, name="mine")] == [count - 3, 0]
        ids = [trial.user_attrs["id"] for trial in optuna.load_study(study_name="mine", storage=url).trials]
        assert sorted(ids) == sorted({entry.id for entry in run.rows()})

    def test_a_failed_network_is_a_failed_trial_and_a_bound_is_a_constraint(self, run: Run, url: str) -> None:
        import optuna

        truncate(run, 5)
        failed = fail_one(run)
        errors = sorted(entry.row.values["error"] for entry in run.rows() if entry.status == "finished")
        error, *others = run.objectives
        run.objectives = (replace(error, upper_bound=errors[2]), *others)
        run.track(optuna=url)
        study = optuna.load_study(study_name="run", storage=url)
        (trial,) = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.FAIL]
        assert trial.user_attrs["id"] == failed
        assert trial.user_attrs["failure"] == "diverged: its loss became infinite"
        assert max(trial.values[0] for trial in study.best_trials) <= errors[2]

    def test_values_of_two_devices_do_not_mix(self, run: Run, url: str) -> None:
        truncate(run, 2)
        run.track(optuna=url)
        with RunStore.open(run.folder, write=True) as store:
            outcome = next(outcome for outcome in store.outcomes() if outcome.status == "finished")
            store.revise([replace(outcome, values={**outcome.values, "macs": outcome.values["macs"] + 1})])
        with pytest.raises(RequestError, match=rf"other values of {outcome.candidate_id} than the run has now"):
            run.track(optuna=url)
        assert run.track(optuna=url, name="again")[0].added == len(run.rows())

    def test_another_runs_study_and_a_strange_storage_are_refused(self, run: Run, url: str, tmp_path: Path) -> None:
        truncate(run, 1)
        run.track(optuna=url)
        other = hwnas.open_run(run.folder)
        with closing(sqlite3.connect(run.folder / "run.sqlite")) as connection, connection:
            connection.execute("UPDATE events SET at = at + 1 WHERE kind = 'started'")
        with pytest.raises(RequestError, match=r"the study 'run' in .* is not of this run: name another with --name"):
            other.track(optuna=url)
        with pytest.raises(RequestError, match=r"such as sqlite:///optuna\.db, got nonsense"):
            run.track(optuna="nonsense")
        with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection, connection:
            connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
            connection.execute("INSERT INTO alembic_version VALUES ('of MLflow')")
        with pytest.raises(TrackerError, match=r"Optuna could not write to .*foreign\.db.* repeat to go on"):
            run.track(optuna=f"sqlite:///{tmp_path}/foreign.db")


class TestTensorBoard:
    """Event files that TensorBoard's own reader loads."""

    @pytest.fixture(autouse=True)
    def installed(self) -> None:
        pytest.importorskip("tensorboard", reason=EXTRA.format("tensorboard"))

    @staticmethod
    def scalars(place: Path) -> dict[str, list[tuple[int, float]]]:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util import tensor_util

        found: dict[str, list[tuple[int, float]]] = {}
        for file in sorted(place.glob("*tfevents*")):
            for event in EventFileLoader(str(file)).Load():
                for value in event.summary.value:
                    number = float(tensor_util.make_ndarray(value.tensor))
                    found.setdefault(value.tag, []).append((event.step, number))
        return found

    def test_curves_and_hypervolume_are_read_back(self, run: Run, tmp_path: Path) -> None:
        run.track(tensorboard=tmp_path / "events")
        place = tmp_path / "events" / "run"
        for entry in run.rows():
            found = self.scalars(place / entry.id)
            for name in ("loss", "error"):
                curve = [(p["images"], p[name]) for p in entry.curve() if p[name] is not None]
                assert [step for step, _ in found.get(f"curve/{name}", [])] == [step for step, _ in curve]
                values = [value for _, value in found.get(f"curve/{name}", [])]
                assert values == pytest.approx([value for _, value in curve], rel=1e-6)
        assert any(entry.curve() for entry in run.rows())
        search = self.scalars(place / "search")
        assert [step for step, _ in search["search/hypervolume"]] == [0, 1]
        assert search["search/front_size"][-1] == (1, len(run.front()))

    def test_a_second_time_adds_only_what_is_new(self, run: Run, tmp_path: Path) -> None:
        early = hwnas.open_run(shutil.copytree(run.folder, tmp_path / "early"))
        truncate(early, 3)
        early.track(tensorboard=tmp_path, name="events")
        one = next(iter(run.rows())).id
        first = [tracked.added for tracked in run.track(tensorboard=tmp_path, name="events")]
        before = sorted(tmp_path.rglob("*tfevents*"))
        (again,) = run.track(tensorboard=tmp_path, name="events")
        assert (first, again.added, again.known) == ([len(run.rows()) - 3], 0, len(run.rows()))
        assert sorted(tmp_path.rglob("*tfevents*")) == before
        steps = [step for step, _ in self.scalars(tmp_path / "events" / one)["curve/loss"]]
        assert len(steps) == len(set(steps))

    def test_what_was_never_trained_is_left_out_and_counted(self, run: Run, tmp_path: Path) -> None:
        with RunStore.open(run.folder, write=True) as store:
            one = next(store.outcomes()).candidate_id
            store.revise([Outcome(candidate_id=one, status="infeasible")])
        (tracked,) = run.track(tensorboard=tmp_path, name="events")
        assert (tracked.added, tracked.left_out) == (len(run.rows()) - 1, 1)
        assert not (tmp_path / "events" / one).exists()
        assert str(tracked).endswith("; 1 left out, which have no error or were not trained to an end")

    def test_what_a_kill_cut_off_is_written_again(self, run: Run, tmp_path: Path) -> None:
        run.track(tensorboard=tmp_path, name="events")
        one = next(iter(run.rows())).id
        whole = self.scalars(tmp_path / "events" / one)
        (file,) = (tmp_path / "events" / one).glob("*tfevents*")
        file.write_bytes(file.read_bytes()[:-30])
        assert self.scalars(tmp_path / "events" / one) != whole
        (tracked,) = run.track(tensorboard=tmp_path, name="events")
        assert tracked.updated == 1
        assert {tag: sorted(p) for tag, p in self.scalars(tmp_path / "events" / one).items()} == whole

    def test_what_another_run_or_program_wrote_is_not_mixed_with(self, run: Run, tmp_path: Path) -> None:
        run.track(tensorboard=tmp_path, name="events")
        (tmp_path / "events" / "hwnas.json").write_text('{"run": "another"}')
        with pytest.raises(RequestError, match="holds the events of another run"):
            run.track(tensorboard=tmp_path, name="events")
        with pytest.raises(RequestError, match="holds something else"):
            run.track(tensorboard=tmp_path, name="run")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what MLflow stands on
def test_mlflow_has_a_run_for_each_network_below_that_of_the_search(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason=EXTRA.format("mlflow"))
    failed = fail_one(run)
    early = hwnas.open_run(shutil.copytree(run.folder, tmp_path / "early"))
    truncate(early, 3)
    uri, count = f"sqlite:///{tmp_path}/mlflow.db", len(run.rows())
    done = [each.track(mlflow=uri, name="mine")[0] for each in (early, run, run)]
    assert [each.added for each in done] == [3, count - 3, 0]
    assert done[2].known == count

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("hwnas")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [each for each in runs if "mlflow.parentRunId" not in each.data.tags]
    nested = {each.info.run_name: each for each in runs if each is not parent}
    assert (parent.info.run_name, parent.info.status) == ("mine", "FINISHED")
    assert parent.data.params["objectives"] == "error,parameters,macs"
    assert [metric.step for metric in client.get_metric_history(parent.info.run_id, "hypervolume")] == [0, 1]
    assert sorted(nested) == sorted(entry.id for entry in run.rows())
    assert nested[failed].info.status == "FAILED"
    for entry in run.front():
        found = nested[entry.id]
        assert found.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert found.data.tags["hwnas.front"] == "yes"
        for name in ("error", "test_error", "parameters", "macs"):
            assert found.data.metrics.get(name) == entry.value(name)
        assert found.data.params["operator"] == entry.row.operator
        assert found.data.params.get("parent") == entry.row.parent
        curve = [(metric.step, metric.value) for metric in client.get_metric_history(found.info.run_id, "curve/loss")]
        assert sorted(curve) == [(point["images"], point["loss"]) for point in entry.curve()]

    changed = run.front()[-1].id
    with RunStore.open(run.folder, write=True) as store:
        store.set_values(changed, {"test_error": 0.125})
    assert run.track(mlflow=uri, name="mine")[0].updated == 1
    assert client.get_run(nested[changed].info.run_id).data.metrics["test_error"] == 0.125


def test_the_command_says_what_was_done_and_refuses_what_cannot_be(tiny_run: Made, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason=EXTRA.format("tensorboard"))
    count = len(hwnas.open_run(tiny_run.folder).rows())
    done = command("track", tiny_run.folder, "--tensorboard", tmp_path, "--follow", "--every", "1s")
    assert (done.returncode, done.stdout) == (0, f"TensorBoard, {tmp_path}/run: {count} networks added, 0 there already\n")
    with pytest.raises(RequestError, match="say where to: --mlflow URI, --tensorboard DIR, --optuna URL"):
        hwnas.open_run(tiny_run.folder).track()


def test_a_run_is_followed_until_it_is_over(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason=EXTRA.format("tensorboard"))
    with RunStore.open(run.folder, write=True) as store:
        store.add_event("started", {})  # by this process, which is alive
    writes = list[int]()

    def sleep(seconds: float) -> None:
        writes.append(len(list(tmp_path.glob("events/run/*/*"))))
        with RunStore.open(run.folder, write=True) as store:
            store.add_event("ended", {"reason": "a test ended it"})

    monkeypatch.setattr("hwnas.api.tracking.watch", partial(watch, sleep=sleep))
    (tracked,) = run.track(tensorboard=tmp_path / "events", every=1)
    assert (tracked.added, tracked.known) == (len(run.rows()), 0)  # the last of two calls alone found them there
    assert len(writes) == 1
    assert writes[0] > 0


@pytest.mark.parametrize("name", ["mlflow", "optuna", "tensorboard"])
def test_a_missing_library_is_one_message(name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RequestError, match=rf"pip install 'hwnas\[{name}\]'"):
        run.track(**{name: str(tmp_path / "x")})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_a_name_is_that_of_one_folder(name: str, run: Run, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="without slashes"):
        run.track(tensorboard=tmp_path / "events", name=name)


def test_a_password_in_an_address_is_not_shown() -> None:
    assert shown("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    assert shown("sqlite:///a/b.db") == "sqlite:///a/b.db"
