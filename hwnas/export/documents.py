"""What lies beside the models of a bundle for people: a README, a script that classifies images, and a card for each model.

A card follows [Mitchell2019] as far as hwnas knows the answers; what only its user knows is left to be filled in.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from hwnas.device.model import CHECKSUMS
from hwnas.export.manifest import CLASSIFY, README, REFERENCE_IMAGES, Checksums, Manifest, ModelFile, card_name
from hwnas.export.model_input import CHANNELS, in_words
from hwnas.objectives.share import interval_95, with_range

_RESIZE = {
    "crop": "ImageOps.fit(image, ({width}, {height}), Image.Resampling.BILINEAR)",
    "pad": "ImageOps.pad(image, ({width}, {height}), Image.Resampling.BILINEAR)",
    "stretch": "image.resize(({width}, {height}), Image.Resampling.BILINEAR)",
}


def documents(manifest: Manifest, new: Sequence[ModelFile]) -> dict[str, bytes]:
    """The README and the script of a bundle and the cards of its ``new`` files, by name."""
    script = Path(__file__).with_name(CLASSIFY).read_bytes()
    cards = {card_name(file.name): _card(file).encode() for file in new}
    return {README: _readme(manifest).encode(), CLASSIFY: script} | cards


def error_text(file: ModelFile, split: str) -> str | None:
    """The error of a file on the validation or test split, with the 95 % interval that so few images leave; None: not known."""
    if file.evaluated is not None and file.evaluated.split == split:
        error, images = file.evaluated.error, file.evaluated.images
    elif f"{split}_error" in file.metadata and f"{split}_images" in file.metadata:
        error, images = float(file.metadata[f"{split}_error"]), int(file.metadata[f"{split}_images"])
    else:
        return None
    return with_range(error, *interval_95(error, images))


def _readme(manifest: Manifest) -> str:
    rows = "\n".join(
        f"| [{file.name}]({card_name(file.name)}) | {error_text(file, 'test') or ''} | {file.size_bytes / 1000:,.1f} | "
        f"{file.precision}{', guarded' if file.guarded else ''}{', checksums' if file.checksums else ''} |"
        for file in manifest.files
    )
    first = manifest.files[0]
    return f"""# Image classifiers, exported by hwnas {manifest.hwnas_version}

| file and its card | test error (95 % interval) | kB | computes in |
| --- | --- | --- | --- |
{rows}

Classify images (needs `pip install onnxruntime numpy pillow`):

    python {CLASSIFY} {first.name} photo.jpg

Every file takes {in_words(first.metadata) if "input_size" in first.metadata else "what its metadata say."}
The output `logits` has one value for each class, in the order of the metadata's `classes`; the largest one is the answer.
An int8 file computes in 8 bits; a guarded one clips its activations to what training images showed, against bit flips.

`manifest.json` holds hashes and figures, `references.safetensors` images with the answers that each file must give:
`hwnas verify .` checks them, `hwnas verify . --data PATH` computes the test errors again.
"""


def _card(file: ModelFile) -> str:
    said = file.metadata
    classes = json.loads(said["classes"])
    guard = " Activations are clipped to the range of training images, against bit flips." if file.guarded else ""
    if file.checksums is not None:
        guard += (
            f"\n- **Output** `{CHECKSUMS}`: one value for each checked layer. One that is not at most 1 (NaN is not) says "
            "that a bit flipped in the layer's weights, or that it was computed wrongly: do not trust the answer for this image."
        )
    return f"""# {file.name}

Image classifier for {len(classes)} classes: {", ".join(map(_escaped, classes))}.

- **Input** {in_words(said)}
- **Output** `logits`: {said["output"]}.
- **Computes in** {file.precision}, {file.size_bytes:,} bytes.{guard}
- **Data** {_escaped(said.get("data_name", "not recorded"))}, sha256 of the test images {said.get("test_sha256", "not recorded")}.
- **Training** {said.get("training", "not recorded")}.

## Figures

{_figures(file)}

## Limits

It was judged on images like those it was trained on; on others, and on images of none of its classes, its answers mean nothing.
The logits are no calibrated probabilities. {_escaped(said.get("limits", ""))}

## Where it comes from

Network {file.id}, architecture {file.architecture_id}, of the run {_escaped(said.get("run", "not recorded"))}; hwnas
{said.get("hwnas_version", "not recorded")}; sha256 of the file {file.sha256}.

Licence: (to be filled in by whoever publishes the model)

{_use(file)}"""


def _use(file: ModelFile) -> str:
    return f"## Use\n\n```python\n{snippet(file)}\n```\n" if file.metadata["input_channels"] in CHANNELS.values() else ""


def _figures(file: ModelFile) -> str:
    """The errors, each with its interval, and the latency where it was measured for a file like this."""
    lines = []
    for split in ("validation", "test"):
        if text := error_text(file, split):
            lines.append(f"- {split} error {text}: the 95 % interval of so few images")
    if file.error_change is not None:
        lines.append(f"- {100 * file.error_change:+.2f} points of error against the float32 network, on the same images")
    if file.checksums is not None:
        lines.append(f"- checksums: {checksums_text(file.checksums)}")
    if latency := latency_text(file):
        lines.append(f"- latency {latency} ms on {_escaped(file.metadata.get('device', 'the device of its run'))}")
    lines.append(f"- the same answer as the trained network on {agreement_text(file)} images")
    return "\n".join(lines)


def latency_text(file: ModelFile) -> str | None:
    """What was measured for a network in this number format, with the half-width of its 95 % interval; None: nothing was."""
    if "latency_ms" not in file.metadata:
        return None
    half = float(file.metadata.get("latency_ci_ms", "0"))
    return f"{float(file.metadata['latency_ms']):.4g}" + (f" ± {half:.1g}" if half else "")


def checksums_text(found: Checksums) -> str:
    """What a file's checksums find, and how often they are wrong."""
    alarms = f"{found.false_alarms} false alarms on {found.images:,} images"
    if found.share is None:
        return f"none of {found.flips} flipped bits of weights changed an answer; {alarms}"
    share = with_range(found.share, found.share_low, found.share_high)
    return f"{share} of the flipped bits of weights that change an answer are detected, of {found.harmful} tried; {alarms}"


def agreement_text(file: ModelFile) -> str:
    """On how many of the stored images a file answers as the trained network does."""
    if "validation_images" not in file.metadata:
        return f"{file.top1_agreement:.1%} of the".replace("%", " %")
    images = min(REFERENCE_IMAGES, int(file.metadata["validation_images"]))
    return f"{round(file.top1_agreement * images)} of {images}"


def snippet(file: ModelFile) -> str:
    """Ten lines that classify an image with onnxruntime, numpy and Pillow alone."""
    said = file.metadata
    height, width = said["input_size"].split("x")
    channels = next(count for count, name in CHANNELS.items() if name == said["input_channels"])
    resized = _RESIZE[said["input_fit"]].format(height=height, width=width)
    return f"""import json, numpy as np, onnxruntime
from PIL import Image, ImageOps
session = onnxruntime.InferenceSession("{file.name}")
image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{"L" if channels == 1 else "RGB"}")
image = {resized}  # width, height
pixels = np.asarray(image, np.float32).reshape({height}, {width}, {channels}) / 255
logits = session.run(["logits"], {{"image": pixels.transpose(2, 0, 1)[None]}})[0][0]
shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
print(classes[int(shares.argmax())], f"{{shares.max():.1%}}")"""


def _escaped(text: str) -> str:
    """A text from outside as Markdown shows it, never as markup."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|" else char for char in " ".join(text.split()))
