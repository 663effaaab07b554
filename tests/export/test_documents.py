"""What a bundle says to people: what to feed a file, what it can do, and ten lines that use it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from hwnas.data.images import decode
from hwnas.device import load_profile
from hwnas.export import BundleEntry, Predict, runtime, write_bundle
from hwnas.export.classify import read_image
from hwnas.export.documents import error_text, latency_text
from tests.export.samples import STATISTICS, images, random_state
from tests.graphs import SAMPLES

CLASSES = ["keep_right", "<b>stop</b>", *map(str, range(8))]
FACTS = {
    "validation_error": "0.05", "validation_images": "120", "test_error": "0.025", "test_images": "320", "latency_ms": "0.1449",
    "latency_ci_ms": "0.003", "device": "This machine", "data_name": "signs", "run": "nice", "training": "5.8 passes",
}  # fmt: skip


@pytest.fixture(scope="module")
def predict() -> Predict:
    return runtime(load_profile("local-cpu"))


def colour_net() -> str:
    """A sample that takes RGB images."""
    return next(name for name, make in SAMPLES.items() if make().shapes[make().input.id][0] == 3 and make().classes == 10)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, predict: Predict) -> Path:
    """One RGB network and the photo of someone who holds the camera upright, 40 x 30 pixels."""
    from hwnas.export import ExportSettings

    folder = tmp_path_factory.mktemp("export") / "bundle"
    graph = SAMPLES[colour_net()]()
    entry = BundleEntry(id="g2-6", graph=graph, state=random_state(graph), metadata=FACTS)
    mean, std = STATISTICS[3]
    settings = ExportSettings(classes=CLASSES, mean=mean, std=std, precisions=("float32", "float16"))
    write_bundle(folder, [entry], images=images(graph, 8).numpy(), predict=predict, settings=settings)
    pixels = np.random.default_rng(3).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder.parent / "photo.png")
    return folder


def expected(bundle: Path, predict: Predict) -> tuple[str, float]:
    """The class and its share, computed by what hwnas itself reads images with."""
    model = (bundle / "g2-6.onnx").read_bytes()
    put = onnx.load_model_from_string(model).graph.input[0].type.tensor_type.shape.dim
    shape = (put[1].dim_value, put[2].dim_value, put[3].dim_value)
    image = decode(bundle.parent / "photo.png", "photo", shape)[None] / np.float32(255)
    logits = predict(model, image.astype(np.float32))[0].astype(np.float64)
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    return CLASSES[int(shares.argmax())], float(shares.max())


def test_the_metadata_say_what_to_feed(bundle: Path) -> None:
    for name in ("g2-6.onnx", "g2-6.float16.onnx"):
        said = {item.key: item.value for item in onnx.load(bundle / name).metadata_props}
        assert (said["input_channels"], said["input_range"], said["input_layout"]) == ("RGB", "0..1", "NCHW")
        assert (said["normalisation"], said["input_fit"]) == ("inside the model", "crop")
        assert said["output"].startswith("logits")
        assert json.loads(said["classes"]) == CLASSES
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["files"][0]["metadata"]["input_size"] == said["input_size"]
    assert said["float32_latency_ms"] == "0.1449"  # measured for the other file
    assert "latency_ms" not in said


def test_the_ten_lines_of_a_card_classify_an_image(bundle: Path, predict: Predict, tmp_path: Path) -> None:
    card = (bundle / "g2-6.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(snippet.splitlines()) == 10
    assert set(re.findall(r"^(?:import|from) (\w+)", snippet, re.M)) == {"json", "PIL"}
    program = snippet.replace('"g2-6.onnx"', repr(str(bundle / "g2-6.onnx")))
    program = program.replace('"photo.jpg"', repr(str(bundle.parent / "photo.png")))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    name, share = expected(bundle, predict)
    assert (done.returncode, done.stdout) == (0, f"{name} {share:.1%}\n"), done.stderr


def test_the_script_classifies_images_that_are_turned_grey_or_transparent(bundle: Path, predict: Predict) -> None:
    photo = Image.open(bundle.parent / "photo.png")
    turned = bundle.parent / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned right by 90 degrees
    photo.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    photo.convert("LA").save(bundle.parent / "grey.png")
    paths = [str(bundle.parent / name) for name in ("photo.png", "turned.png", "grey.png")]
    command = [sys.executable, str(bundle / "classify.py"), str(bundle / "g2-6.onnx"), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, share = expected(bundle, predict)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == [paths[0], name, f"{share:.1%}"]
    assert len(lines) == 3
    for path in paths:
        for fit in ("crop", "stretch", "pad"):
            seen = decode(Path(path), path, (3, 16, 24), fit)[None] / np.float32(255)
            assert np.abs(read_image(path, 3, 16, 24, fit) - seen).max() < 1e-6, (path, fit)
    assert np.abs(read_image(paths[1], 3, 16, 24, "crop") - read_image(paths[0], 3, 16, 24, "crop")).max() < 1e-6
    program = (bundle / "classify.py").read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", program, re.M)) == {"json", "sys", "numpy", "onnxruntime", "PIL"}


def test_a_card_has_figures_with_intervals_and_shows_names_as_text(bundle: Path) -> None:
    card = (bundle / "g2-6.md").read_text()
    assert "validation error 5.0 % (2.3-10.5)" in card
    assert "test error 2.5 % (1.3-4.9)" in card
    assert "latency 0.1449 ± 0.003 ms on This machine" in card
    assert "\\<b\\>stop\\</b\\>" in card
    assert "keep\\_right" in card
    assert "5.8 passes" in card
    assert "Licence: (to be filled in" in card
    assert "RGB, height x width" in card
    assert "latency" not in (bundle / "g2-6.float16.md").read_text()
    readme = (bundle / "README.md").read_text()
    assert "| [g2-6.onnx](g2-6.md) | 2.5 % (1.3-4.9) |" in readme
    assert "python classify.py g2-6.onnx photo.jpg" in readme


def test_what_is_not_known_is_not_said(bundle: Path) -> None:
    from hwnas.export import read_manifest

    half = read_manifest(bundle).files[1]
    assert (error_text(half, "test"), latency_text(half)) == (None, None)
