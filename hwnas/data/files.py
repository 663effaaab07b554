"""Finding the files of a data set's splits on disk."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwnas.errors import DataError

_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """The files of each split (train, and maybe validation and test), sorted, below `root`; `source` is what the user named.

    `left_out`: files among images that are none we read; `empty`: folders without any image, where a class was expected.
    """

    source: Path
    kind: Literal["parquet", "images"]
    root: Path
    splits: dict[str, tuple[Path, ...]]
    left_out: tuple[Path, ...] = ()
    empty: tuple[Path, ...] = ()

    def left_out_in_words(self) -> list[str]:
        """What lies there and is not read: files by their kind, with an example of each, and folders without images."""
        kinds: dict[str, list[Path]] = {}
        for path in self.left_out:
            kinds.setdefault(path.suffix, []).append(path)
        words = [
            f"{len(paths):,} {suffix or 'unnamed kind of'} {'file' if len(paths) == 1 else 'files'}, no format that is read "
            f"(such as {paths[0].relative_to(self.root)})"
            for suffix, paths in sorted(kinds.items())
        ]
        return words + [f"the folder {folder.relative_to(self.root)}, which holds no image" for folder in self.empty]


def find_files(source: Path) -> SourceFiles:
    """Return the files of a data set: a parquet file, a folder of them, or folders of images named after their classes.

    A file or folder named train, validation or test (`train.parquet`, `data/test-00000-of-00002.parquet`, `val/cat/1.png`)
    belongs to that split; a lone parquet file and class folders without splits are training data. Raises DataError.
    """
    try:
        return _found(source)
    except OSError as error:
        raise DataError(f"{error.filename or source} cannot be read: {error.strerror}; check its permissions") from error


def _found(source: Path) -> SourceFiles:
    if not source.exists():
        raise DataError(f'there is no {source}; expected "digits", a parquet file, or a folder of parquet files or images')
    root = source.resolve()
    if not root.is_dir():
        if root.suffix != ".parquet" or not root.is_file():  # a device or a pipe is neither
            raise DataError(f"{source} is neither a parquet file nor a folder; convert it to one or to class folders of images")
        return SourceFiles(source=source, kind="parquet", root=root.parent, splits={"train": (root,)})
    for pattern in ("*.parquet", "data/*.parquet", "*/*.parquet"):
        if parquets := _visible(root.glob(pattern), root):
            return SourceFiles(source=source, kind="parquet", root=root, splits=_parquet_splits(parquets, source))
    folders: list[Path] = []
    visible = _visible(_files_below(root, root, folders), root)
    images = [path for path in visible if path.suffix.lower() in _IMAGES]
    if not images:
        raise DataError(f"{source} holds neither parquet files nor images; expected train.parquet, or a folder per class")
    holding = {above for path in images for above in path.parents}
    return SourceFiles(
        source=source,
        kind="images",
        root=root,
        splits=_image_splits(images, root, source),
        left_out=tuple(path for path in visible if path.suffix.lower() not in _IMAGES),
        empty=tuple(sorted(folder for folder in folders if folder not in holding and folder.parent in holding)),
    )


def _files_below(folder: Path, root: Path, folders: list[Path], above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Every file in a folder and below it, through links to folders too, unless one leads back up or to what is found anyway.

    The folders on the way are put into `folders`.
    """
    here = (*above, folder.resolve())
    for path in folder.iterdir():
        if _is_no_data(path, root):
            continue
        if not path.is_dir():
            yield path
            continue
        real = path.resolve()
        found_anyway = path.is_symlink() and real.is_relative_to(root) and not _is_no_data(real, root)
        if real not in here and not found_anyway:
            folders.append(path)
            yield from _files_below(path, root, folders, here)


def _is_no_data(path: Path, root: Path) -> bool:
    """Tell whether a path in `root` is hidden or the file system's own, or lies in such a folder; these need not be readable."""
    return any(part.startswith(".") or part == "lost+found" for part in path.relative_to(root).parts)


def _visible(paths: Iterable[Path], root: Path) -> list[Path]:
    """Return the files among `paths`, sorted, without those that are no data."""
    return sorted(path for path in paths if not _is_no_data(path, root) and path.is_file())


def _parquet_splits(paths: list[Path], source: Path) -> dict[str, tuple[Path, ...]]:
    if len(paths) == 1:
        return {"train": (paths[0],)}
    splits: dict[str, list[Path]] = {}
    for path in paths:
        split = _SPLITS.get(re.split(r"[-_.]", path.name)[0].lower()) or _SPLITS.get(path.parent.name.lower())
        if split is None:
            raise DataError(f"{path} belongs to no split; name it train, validation or test, as in train-00000-of-00002.parquet")
        splits.setdefault(split, []).append(path)
    return _with_training(splits, source)


def _image_splits(paths: list[Path], root: Path, source: Path) -> dict[str, tuple[Path, ...]]:
    splits: dict[str, list[Path]] = {}
    for path in paths:
        parts = path.relative_to(root).parts
        if len(parts) < 2 or (len(parts) == 2 and parts[0].lower() in _SPLITS):
            raise DataError(f"{path} lies in no class folder; expected {source}/CLASS/IMAGE or {source}/train/CLASS/IMAGE")
        splits.setdefault(_SPLITS.get(parts[0].lower(), "") if len(parts) > 2 else "", []).append(path)
    for found in splits.values():
        _check_class_folders({path.parent for path in found}, source)
    if "" not in splits:
        return _with_training(splits, source)
    if len(splits) > 1:
        raise DataError(f"{splits[''][0]} lies beside the folders of the splits; move it into one, as in {source}/train/CLASS/")
    return {"train": tuple(paths)}


def _check_class_folders(folders: set[Path], source: Path) -> None:
    """Raise DataError where a class folder has a folder of images in it, or two have one name: the class is not clear."""
    expected = f"move the images of each class into one folder, as in {source}/CLASS/IMAGE"
    named: dict[str, Path] = {}
    for folder in sorted(folders):
        if above := next((above for above in folder.parents if above in folders), None):
            raise DataError(f"{folder} lies in {above}, which holds images itself: which is the class is not clear; {expected}")
        if (other := named.setdefault(folder.name, folder)) != folder:
            raise DataError(f"{other} and {folder} would be one class, {folder.name!r}, which may be wrong; {expected}")


def _with_training(splits: dict[str, list[Path]], source: Path) -> dict[str, tuple[Path, ...]]:
    if "train" not in splits:
        raise DataError(f"{source} has files for {' and '.join(splits)} but none for train; add one, or name one file only")
    return {split: tuple(paths) for split, paths in splits.items()}
