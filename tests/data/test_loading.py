import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from hwnas.data import DataSettings, load
from hwnas.data.files import find_files
from hwnas.errors import ConfigError, DataError
from tests.data.samples import Loader, encode, noise, write_folder, write_parquet

THREE = [number % 3 for number in range(60)]


def test_digits_are_split_60_20_20_by_class() -> None:
    data = load(DataSettings())
    assert (len(data.train), len(data.validation), len(data.test)) == (1079, 359, 359)
    assert data.classes == tuple("0123456789")
    assert data.shape == (1, 8, 8)
    assert data.train.images.max() == 255
    assert (data.train.labels.bincount() - 107.9).abs().max() < 5
    assert data.fingerprint == load(DataSettings()).fingerprint != load(DataSettings(seed=1)).fingerprint
    with pytest.raises(DataError, match="8x8"):
        load(DataSettings(image_size=(16, 16)))


def test_a_parquet_file_is_split_in_three_and_nothing_is_lost(tmp_path: Path, load_from: Loader) -> None:
    images = noise(60)
    data = load_from(write_parquet(tmp_path / "shapes.parquet", images, THREE))
    assert data.name == "shapes"
    assert (data.shape, data.classes) == ((3, 10, 6), ("0", "1", "2"))
    assert (len(data.train), len(data.validation), len(data.test)) == (42, 6, 12)
    loaded = {
        (image.numpy().tobytes(), int(label))
        for split in (data.train, data.validation, data.test)
        for image, label in zip(split.images, split.labels, strict=True)
    }
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 10, 6, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
    assert loaded == {(image.tobytes(), label) for image, label in zip(pixels, THREE, strict=True)}


def test_nothing_contacts_a_server(tmp_path: Path, load_from: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*where: Any) -> None:
        tried.append(where)
        raise OSError("there is no network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    load_from(write_parquet(tmp_path / "a.parquet", noise(60), THREE))
    load_from(write_folder(tmp_path / "b", ["cat", "dog"]))
    assert tried == []


@pytest.mark.parametrize(
    "layout", ["{}.parquet", "data/{}-00000-of-00001.parquet", "plain/{}-00000-of-00001.parquet", "{}/0000.parquet"]
)
def test_split_files_are_honoured(layout: str, tmp_path: Path, load_from: Loader) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        write_parquet(tmp_path / "set" / layout.format(split), noise(60)[number * 20 : number * 20 + 20], THREE[:20])
    data = load_from(tmp_path / "set", seed=5)
    assert data.name == "set"
    assert [len(data.train), len(data.validation), len(data.test)] == [20, 20, 20]
    assert data.fingerprint == load_from(tmp_path / "set", seed=6).fingerprint


def test_shards_are_joined_and_what_has_no_file_is_split_off(tmp_path: Path, load_from: Loader) -> None:
    for shard in range(2):
        write_parquet(tmp_path / f"set/train-0000{shard}-of-00002.parquet", noise(60)[shard * 30 : shard * 30 + 30], THREE[:30])
    write_parquet(tmp_path / "set/test.parquet", noise(9), THREE[:9])
    data = load_from(tmp_path / "set", validation_share=0.25)
    assert [len(data.train), len(data.validation), len(data.test)] == [45, 15, 9]


def test_class_names_come_from_a_class_label(tmp_path: Path, load_from: Loader) -> None:
    features = datasets.Features({"img": datasets.Image(), "fine": datasets.ClassLabel(names=["owl", "ant", "bee"])})
    path = tmp_path / "named.parquet"
    datasets.Dataset.from_dict({"img": noise(60), "fine": THREE}, features=features).to_parquet(path)
    assert load_from(path).classes == ("owl", "ant", "bee")


def write_named(folder: Path, **names: list[str]) -> Path:
    """Write a parquet file of 60 images of the first three classes for each split and its class names; return the folder."""
    for split, classes in names.items():
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=classes)})
        table = datasets.Dataset.from_dict({"image": noise(60), "label": THREE}, features=features)
        table.to_parquet(folder / f"{split}.parquet")
    return folder


@pytest.mark.parametrize("others", [{}, {"validation": ["owl", "ant", "bee", "cat"]}, {"validation": ["owl", "ant", "bee"]}])
def test_files_that_number_their_classes_differently_are_refused(
    others: dict[str, list[str]], tmp_path: Path, load_from: Loader
) -> None:
    root = write_named(tmp_path / "set", train=["owl", "ant", "bee", "cat"], test=["owl", "bee", "ant"], **others)
    with pytest.raises(DataError, match=r"class number 1 is (ant|bee) in .*.parquet and (ant|bee) in .*.parquet"):
        load_from(root)


def test_a_list_of_classes_may_go_on_where_another_ends(tmp_path: Path, load_from: Loader) -> None:
    short, long = ["owl", "ant", "bee"], ["owl", "ant", "bee", "cat"]
    assert load_from(write_named(tmp_path / "a", train=short, test=long)).classes == tuple(short)
    assert load_from(write_named(tmp_path / "b", train=long, test=short)).classes == tuple(long)
    write_named(tmp_path / "c", train=short, validation=[*long, "dog"], test=[*long, "emu"])
    with pytest.raises(DataError, match=r"class number 4 is emu in .*test.parquet and dog in .*validation.parquet"):
        load_from(tmp_path / "c")


def test_a_split_may_have_columns_that_another_lacks(tmp_path: Path, load_from: Loader) -> None:
    write_parquet(tmp_path / "set/train.parquet", noise(60), THREE, sign=[number // 5 for number in range(60)])
    write_parquet(tmp_path / "set/test.parquet", [row["bytes"] for row in noise(9)], THREE[:9])
    assert len(load_from(tmp_path / "set", group_by="sign").test) == 9


def test_images_may_be_files_beside_the_table(tmp_path: Path, load_from: Loader) -> None:
    for number, row in enumerate(noise(60)):
        (tmp_path / f"{number}.png").write_bytes(row["bytes"])
    named = load_from(write_parquet(tmp_path / "a.parquet", [f"{number}.png" for number in range(60)], THREE))
    assert named.fingerprint == load_from(write_parquet(tmp_path / "b.parquet", noise(60), THREE)).fingerprint


def test_text_labels_are_classes_in_order(tmp_path: Path, load_from: Loader) -> None:
    data = load_from(write_parquet(tmp_path / "text.parquet", noise(60), ["owl", "ant", "bee"] * 20))
    assert data.classes == ("ant", "bee", "owl")
    assert load_from(tmp_path / "text.parquet").train.labels.bincount().tolist() == [14, 14, 14]


def test_image_folders_with_and_without_splits(tmp_path: Path, load_from: Loader) -> None:
    data = load_from(write_folder(tmp_path / "flat [1]*", ["cat", "dog"]))
    assert (data.classes, len(data.train), len(data.validation), len(data.test)) == (("cat", "dog"), 17, 2, 5)
    for split in ("train", "val", "test"):
        write_folder(tmp_path / "three" / split, ["cat", "dog"], 6)
    data = load_from(tmp_path / "three")
    assert (data.classes, len(data.train), len(data.validation), len(data.test)) == (("cat", "dog"), 12, 12, 12)


def test_linked_class_folders_are_followed_but_not_in_circles(tmp_path: Path, load_from: Loader) -> None:
    root = write_folder(tmp_path / "set", ["cat", "dog"])
    (root / "owl").symlink_to(write_folder(tmp_path / "elsewhere", ["owls"]) / "owls")
    (root / "dog" / "up").symlink_to(root)
    (tmp_path / "elsewhere/owls/up").symlink_to(tmp_path / "elsewhere/owls")
    data = load_from(root)
    assert data.classes == ("cat", "dog", "owl")
    assert [len(data.train), len(data.validation), len(data.test)] == [25, 4, 7]


def test_a_link_to_a_folder_of_the_set_adds_nothing_unless_that_is_hidden(tmp_path: Path, load_from: Loader) -> None:
    root = tmp_path / "set"
    for split in ("train", "val"):
        write_folder(root / split, ["cat", "dog"])
    (root / "latest").symlink_to("train")
    write_folder(root / ".versions/2", ["cat", "dog"])
    (root / "test").symlink_to(".versions/2")
    data = load_from(root)
    assert [len(data.train), len(data.validation), len(data.test)] == [24, 24, 24]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_cannot_be_read_is_no_missing_class_but_one_that_is_no_data_is_passed_over() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = write_folder(Path(name), ["cat", "dog", "owl", ".Trash-0/dog", "lost+found"])
        root.chmod(0o755)
        for closed in ("owl", ".Trash-0", "lost+found"):
            (root / closed).chmod(0o700)
        os.seteuid(65534)
        try:
            with pytest.raises(DataError, match="owl cannot be read: Permission denied"):
                find_files(root)
            os.seteuid(0)
            (root / "owl").chmod(0o755)
            os.seteuid(65534)
            assert {path.parent.name for path in find_files(root).splits["train"]} == {"cat", "dog", "owl"}
        finally:
            os.seteuid(0)


def test_the_size_is_the_common_one_else_64_else_what_is_asked(tmp_path: Path, load_from: Loader) -> None:
    path = write_parquet(tmp_path / "mixed.parquet", noise(30) + noise(30, 12, 9), THREE)
    assert load_from(path).shape == (3, 64, 64)
    assert load_from(path, image_size=(16, 8)).shape == (3, 16, 8)


def test_one_coloured_image_makes_all_coloured(tmp_path: Path, load_from: Loader) -> None:
    grey = [{"bytes": encode(np.full((10, 6), value, dtype=np.uint8)), "path": None} for value in range(60)]
    assert load_from(write_parquet(tmp_path / "grey.parquet", grey, THREE)).shape == (1, 10, 6)
    assert load_from(write_parquet(tmp_path / "mixed.parquet", [*grey[:30], noise(1)[0], *grey[31:]], THREE)).shape == (3, 10, 6)


@pytest.mark.parametrize("group_by", [r"path:^t\d+_", "track"])
def test_groups_are_never_split(group_by: str, tmp_path: Path, load_from: Loader) -> None:
    tracks = [number // 5 for number in range(120)]
    # One grey level a track: equal images are of one group.
    images = [{"bytes": encode(np.full((4, 4), 2 * t, dtype=np.uint8)), "path": f"t{t:03}_{i}.png"} for i, t in enumerate(tracks)]
    path = write_parquet(tmp_path / "tracks.parquet", images, [track % 2 for track in tracks], track=tracks)
    data = load_from(path, group_by=group_by)
    levels = [set(split.images[:, 0, 0, 0].tolist()) for split in (data.train, data.validation, data.test)]
    assert sum(map(len, levels)) == 24
    assert len(set().union(*levels)) == 24
    # 2.4 and 4.8 tracks are wanted, of two classes: one or two a class.
    assert len(data.validation) == 10
    assert len(data.test) == 20


def test_progress_counts_to_the_end_and_a_cached_load_has_none(tmp_path: Path, load_from: Loader) -> None:
    path = write_parquet(tmp_path / "a.parquet", noise(60), THREE)
    calls: list[tuple[int, int]] = []
    load_from(path, lambda done, total: calls.append((done, total)))
    assert calls == [(60, 60)]
    load_from(path, lambda done, total: calls.append((done, total)))
    assert len(calls) == 1


BROKEN: dict[str, tuple[list[Any], list[Any] | None, str]] = {
    "no labels": (noise(60), None, "no label column in .*set.parquet; expected `label`"),
    "fractions": (noise(60), [0.5] * 60, "expected integers or strings"),
    "unlabelled": (noise(60), [0, 1, None] * 20, r"row 2 of the train split.*no valid label"),
    "one class": (noise(60), [3] * 60, r"one class only \(3\)"),
    "few": (noise(2), [0, 1], "too few images"),
    "too few for the classes": (noise(9), list(range(9)), "too few images"),
    "pixels": ([[[0, 255], [7, 8]]] * 60, THREE, r"image column 'image' .* holds List\(.*expected encoded images"),
    "numbers": ([7] * 60, THREE, r"image column 'image' .* holds .*int64.*expected encoded images"),
    "text": ([{"bytes": "iVBORw0"}] * 60, THREE, r"image column 'image' .* holds .*string.*expected encoded images"),
    "missing": ([*noise(59), {"bytes": None, "path": None}], THREE, "row 59 of the train split.* holds no image"),
    "absent": ([*noise(59), {"bytes": None, "path": "http://localhost/x.png"}], THREE, "row 59 .*names no regular file"),
    "rubbish": (
        [*noise(59), {"bytes": b"rubbish", "path": "x.png"}],
        THREE,
        r"row 59 .*\(x.png\) is not an image of a known format",
    ),
    "cut": ([*noise(59), {"bytes": noise(1)[0]["bytes"][:90], "path": "x.png"}], THREE, r"row 59 .*\(x.png\) is not a readable"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_tables_are_refused_with_one_message(case: str, tmp_path: Path, load_from: Loader) -> None:
    images, labels, message = BROKEN[case]
    path = write_parquet(tmp_path / "set.parquet", images, labels)
    with pytest.raises(DataError, match=message):
        load_from(path)


def test_an_empty_split_is_refused(tmp_path: Path, load_from: Loader) -> None:
    whole = pyarrow.parquet.read_table(write_parquet(tmp_path / "set/train.parquet", noise(60), THREE))
    pyarrow.parquet.write_table(whole.slice(0, 0), tmp_path / "set/test.parquet")
    with pytest.raises(DataError, match=r"the test split in .* has no rows"):
        load_from(tmp_path / "set")


def test_damaged_parquet_files_are_refused_quietly(tmp_path: Path, load_from: Loader, caplog: pytest.LogCaptureFixture) -> None:
    whole = write_parquet(tmp_path / "a.parquet", noise(60), THREE).read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "holed": whole[:200] + bytes(500) + whole[700:], "empty": b""}.items():
        (tmp_path / f"{name}.parquet").write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}.parquet cannot be read"):
            load_from(tmp_path / f"{name}.parquet")
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_pixels": 59}, "more than the 59 that are allowed"),
        ({"group_by": "nope"}, "no column 'nope' to group by"),
        ({"group_by": "path:["}, "no regular expression"),
        ({"group_by": "path:^x"}, "must match every training row"),
        ({"group_by": r"path:\.png"}, "too large groups"),
        ({"label_column": "nope"}, "no label column 'nope'"),
        ({"image_size": (10**6, 10**6)}, "60 images of the train split .* do not fit into memory .* smaller image_size"),
        ({"image_size": (10**9, 10**9)}, "do not fit into memory"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(
    settings: dict[str, Any], message: str, tmp_path: Path, load_from: Loader
) -> None:
    path = write_parquet(tmp_path / "a.parquet", noise(60), THREE)
    with pytest.raises(DataError, match=message):
        load_from(path, **settings)


def test_folders_that_are_no_data_set_are_refused(tmp_path: Path, load_from: Loader) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no data")
    write_folder(tmp_path / "flat", ["train", "test"])
    write_folder(tmp_path / "tests only/test", ["cat", "dog"])
    write_folder(tmp_path / "by year/cat", ["2024", "2025"])
    write_folder(tmp_path / "by year/dog", ["2023", "2025"])
    write_folder(tmp_path / "parts/part1", ["cat", "dog"])
    write_folder(tmp_path / "parts/part2", ["cat"])
    write_folder(tmp_path / "old", ["cat", "dog", "dog/old"])
    write_parquet(tmp_path / "odd/a.parquet", noise(3), [0, 1, 2])
    write_parquet(tmp_path / "odd/b.parquet", noise(3), [0, 1, 2])
    for name, message in {
        "absent": "there is no .*absent; expected",
        "empty": "neither parquet files nor images",
        "notes.txt": "neither a parquet file nor a folder",
        "flat": "lies in no class folder",
        "tests only": "none for train",
        "by year": "cat/2025 and .*dog/2025 would be one class, '2025'",
        "parts": "part1/cat and .*part2/cat would be one class, 'cat'",
        "old": "dog/old lies in .*dog, which holds images itself",
        "odd": "a.parquet belongs to no split",
    }.items():
        with pytest.raises(DataError, match=message):
            load_from(tmp_path / name)


def test_a_label_that_is_never_trained_is_refused(tmp_path: Path, load_from: Loader) -> None:
    write_parquet(tmp_path / "set/train.parquet", noise(60), THREE)
    write_parquet(tmp_path / "set/test.parquet", noise(3), [0, 1, 7])
    with pytest.raises(DataError, match="label 7 of the test split"):
        load_from(tmp_path / "set")
    write_folder(tmp_path / "folders/train", ["cat", "dog"])
    write_folder(tmp_path / "folders/val", ["cat", "dog", "owl"])
    with pytest.raises(DataError, match="label 'owl' of the validation split"):
        load_from(tmp_path / "folders")


def test_a_missing_extra_is_named_with_the_command(tmp_path: Path, load_from: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("decoding", "tables"):
        monkeypatch.delitem(sys.modules, f"hwnas.data.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r'needs the package datasets.*pip install "hwnas\[data\]"'):
        load_from(write_parquet(tmp_path / "a.parquet", noise(60), THREE))


@pytest.mark.parametrize(
    "settings",
    [{"source": ""}, {"image_size": (0, 8)}, {"validation_share": 0.6}, {"test_share": 0.0}, {"seed": -1}, {"max_pixels": 0}],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DataSettings(**settings)


def test_the_split_of_groups_follows_the_seed(tmp_path: Path, load_from: Loader) -> None:
    path = write_parquet(tmp_path / "a.parquet", noise(60), THREE)
    one, again, other = (load_from(path, group_by=r"path:^t\d+", seed=seed).fingerprint for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
@pytest.mark.parametrize("path", ["pipe.png", "/dev/zero", "gone.png", "x" * 5000])
def test_a_row_that_names_no_regular_file_is_refused_and_not_waited_for(path: str, tmp_path: Path, load_from: Loader) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    rows = [*noise(59), {"bytes": None, "path": path}]
    with pytest.raises(DataError, match=r"row 59 of the train split.* names (no regular file|a file outside)"):
        load_from(write_parquet(tmp_path / "a.parquet", rows, THREE))
    with pytest.raises(DataError, match=r"row 0 of the train split.* names (no regular file|a file outside)"):
        load_from(write_parquet(tmp_path / "b.parquet", [path] * 60, THREE))


@pytest.mark.parametrize("kind", ["device", "pipe", "pipe.parquet"])
def test_what_is_neither_a_file_nor_a_folder_is_refused_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    if kind == "device":
        path = Path(os.devnull)
    else:
        os.mkfifo(path)
    with pytest.raises(DataError, match="neither a parquet file nor a folder"):
        find_files(path)
