"""Classify image files with a model of this folder: python classify.py MODEL.onnx IMAGE ..

Needs onnxruntime, numpy and Pillow, nothing else. hwnas put this file here; change it as you like.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read_image(path: str, channels: int, height: int, width: int, fit: str) -> np.ndarray:
    """An image file as the model takes it: float32 (1, channels, height, width), RGB or grey, from 0 to 1."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:  # transparent is white
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        if fit == "stretch":
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        else:
            brought = ImageOps.pad if fit == "pad" else ImageOps.fit
            image = brought(image, (width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).reshape(height, width, channels) / 255
    return pixels.transpose(2, 0, 1)[None]


def main() -> None:
    """Print the most likely class of each image and its probability as the model sees it."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    model, *paths = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    classes = json.loads(facts["classes"])
    _, channels, height, width = session.get_inputs()[0].shape
    for path in paths:
        image = read_image(path, channels, height, width, facts.get("input_fit", "crop"))
        logits = session.run(["logits"], {"image": image})[0][0]
        shares = np.exp(logits - logits.max())  # softmax: logits are no probabilities
        shares /= shares.sum()
        print(f"{path}\t{classes[int(shares.argmax())]}\t{shares.max():.1%}")  # noqa: T201


if __name__ == "__main__":
    main()
