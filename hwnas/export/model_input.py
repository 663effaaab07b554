"""What an exported file takes and gives, in its metadata: a file that is fed otherwise runs without complaint, and is wrong."""

from collections.abc import Mapping, Sequence

CHANNELS = {1: "grey", 3: "RGB"}
RESIZING = {
    "crop": "scale until the size is covered, cut off the rest at the centre (bilinear, antialiased)",
    "stretch": "scale both sides to the size, whatever the proportions (bilinear, antialiased)",
    "pad": "scale until it fits, black around it (bilinear, antialiased)",
}


def input_metadata(shape: Sequence[int], fit: str) -> dict[str, str]:
    """Metadata that say how an image becomes the input (C, H, W), and what the output is; ``fit`` as of the data's settings."""
    channels, height, width = shape
    return {
        "input_layout": "NCHW",
        "input_channels": CHANNELS.get(channels, f"{channels} channels"),
        "input_range": "0..1",
        "input_size": f"{height}x{width}",
        "input_fit": fit,
        "input_resizing": RESIZING[fit],
        "normalisation": "inside the model",
        "output": "logits, one for each class; softmax makes probabilities of them",
    }


def in_words(metadata: Mapping[str, str]) -> str:
    """What to feed a file of these metadata, in a sentence."""
    return (
        f"`image`: float32, {metadata['input_layout']}, {metadata['input_channels']}, height x width {metadata['input_size']}, "
        f"values {metadata['input_range']} (pixels / 255). Do not subtract a mean: normalisation is {metadata['normalisation']}. "
        f"Of another size: {metadata['input_resizing']}."
    )
