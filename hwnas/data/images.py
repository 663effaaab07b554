"""One encoded image to one uint8 array; nothing is decoded before its header was read and found acceptable."""

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from hwnas.errors import DataError
from hwnas.settings import Fit

# Pillow tries formats in this order, and only these: of the rest some are slow to tell apart and some run other programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
_GREY = {"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I"}
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
# One of these stands in every PNG file that states an orientation.
_PNG_ORIENTATION = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
# What Pillow's decoders raise on damaged files, by its documentation and by fuzzing.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error)
# Pillow's own limit and the warning filters are the process's: two threads that set and restore them would mix them up.
_PROCESS_WIDE = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an image says about itself: height and width in pixels as it is to be shown, and whether it has no colours."""

    height: int
    width: int
    grey: bool


@contextmanager
def _opened(encoded: bytes | Path, where: str) -> Iterator[Image.Image]:
    with _PROCESS_WIDE, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF blocks
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own cap judges the size
        try:
            with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded, formats=_FORMATS) as image:
                yield image
        except DataError:
            raise
        except UnidentifiedImageError as error:
            raise DataError(f"{where} is not an image of a known format ({', '.join(_FORMATS)}); convert or remove it") from error
        except _DAMAGE as error:
            raise DataError(f"{where} is not a readable image ({error}); replace or remove it") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def read_header(encoded: bytes | Path, where: str, max_pixels: int) -> Header:
    """Return the header of an encoded image; `where` names it in messages. Raises DataError where it is damaged or too large."""
    with _opened(encoded, where) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise DataError(
                f"{where} has {width} x {height} = {width * height:,} pixels, more than the {max_pixels:,} that are allowed; "
                "shrink it, or raise max_pixels if you trust the file"
            )
        if image.mode == "F":
            raise DataError(f"{where} holds floating-point pixels, whose range is unknown; store it with 8 or 16 bits")
        if _may_be_turned(image, encoded) and _turned(image):
            # Pillow turns TIFF files by itself, in some versions when they are opened, in others when they are decoded.
            tiff = image.format == "TIFF"
            width, height = ImageOps.exif_transpose(image).size if tiff else (height, width)
        return Header(height=height, width=width, grey=image.mode in _GREY)


def _may_be_turned(image: Image.Image, encoded: bytes | Path) -> bool:
    """Tell whether to ask for the orientation: of a PNG file, which may state it at the end, Pillow decodes all to answer."""
    if image.format != "PNG":
        return True
    content = encoded if isinstance(encoded, bytes) else encoded.read_bytes()
    return any(word in content for word in _PNG_ORIENTATION)


def _turned(image: Image.Image) -> bool:
    """Tell whether the EXIF orientation (5 to 8) swaps height and width."""
    return image.getexif().get(ExifTags.Base.Orientation, 1) in {5, 6, 7, 8}


def decode(encoded: bytes | Path, where: str, shape: tuple[int, int, int], fit: Fit = "crop") -> npt.NDArray[np.uint8]:
    """Return the image as uint8 (C, H, W) = `shape`, C of 1 or 3; raises DataError where it is damaged.

    The EXIF orientation is applied, alpha is laid over white, 16-bit grey keeps its upper 8 bits, further frames are ignored.
    An image of another size is scaled (bilinear, antialiased) as `fit` says: until it covers (H, W), and cropped at the centre;
    to (H, W), its proportions changed; or until it fits, and padded with black.
    """
    channels, height, width = shape
    with _opened(encoded, where) as image:
        # A JPEG much larger than needed is decoded at 1/2, 1/4 or 1/8 of its size: six times as fast for a photograph.
        image.draft(None, (2 * max(height, width),) * 2)
        ImageOps.exif_transpose(image, in_place=True)
        pixels = _opaque(image).convert("L" if channels == 1 else "RGB")
        if pixels.size != (width, height):
            pixels = _fitted(pixels, (width, height), fit)
        return np.asarray(pixels).reshape(height, width, channels).transpose(2, 0, 1)


def _fitted(pixels: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(pixels, size, Image.Resampling.BILINEAR)
    if fit == "pad":
        return ImageOps.pad(pixels, size, Image.Resampling.BILINEAR)
    return pixels.resize(size, Image.Resampling.BILINEAR)


def _opaque(image: Image.Image) -> Image.Image:
    """Return the image in 8 bits, without alpha."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in _ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image
