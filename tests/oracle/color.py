"""Colours beside Pillow with LittleCMS: the mean CIEDE2000 difference of every picture that carries a profile.

    color.py SAFELIGHT FOLDER [--limit 2.0]

SAFELIGHT is the binary, FOLDER is searched for pictures with an ICC profile or in CMYK. Both programs bring a picture to sRGB at its
full size; then both are averaged over blocks of 4x4 pixels, so that different decoders' noise does not count as colour.
"""

import argparse
import io
import pathlib
import subprocess
import sys
import tempfile

import numpy
from PIL import Image, ImageCms, ImageOps

SRGB = ImageCms.createProfile("sRGB")


def reference(path):
    """The picture in sRGB as Pillow and LittleCMS see it; None where there is nothing to convert, or nothing to convert with."""
    picture = Image.open(path)
    profile = picture.info.get("icc_profile")
    if picture.mode not in ("RGB", "RGBA", "L", "LA", "CMYK", "P") or not (profile or picture.mode == "CMYK"):
        return None
    if picture.mode in ("P", "LA"):
        picture = picture.convert("RGBA")
    picture = ImageOps.exif_transpose(picture)
    if profile:
        space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        alpha = picture.getchannel("A") if picture.mode == "RGBA" else None
        opaque = picture.convert("RGB") if alpha else picture
        opaque = ImageCms.profileToProfile(
            opaque, space, SRGB, renderingIntent=ImageCms.Intent.PERCEPTUAL, outputMode="RGB"
        )
    else:
        alpha, opaque = None, picture.convert("RGB")
    if alpha:
        opaque.putalpha(alpha)
        opaque = Image.alpha_composite(Image.new("RGBA", opaque.size, "white"), opaque).convert("RGB")
    return opaque


def ours(safelight, path):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out.png"
        command = [safelight, "transform", str(path), "anim=false,background=white,format=png-force", "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return None, done.stderr.strip()
        return Image.open(out).convert("RGB"), ""


def lab(picture):
    """CIELAB under D65 (IEC 61966-2-1, CIE 15:2004), blocks of 4x4 averaged in linear light."""
    code = numpy.asarray(picture, dtype=numpy.float64) / 255
    light = numpy.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    height, width = light.shape[0] // 4 * 4, light.shape[1] // 4 * 4
    if height and width:
        light = light[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean(axis=(1, 3))
    matrix = numpy.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
    xyz = light @ matrix.T / numpy.array([0.95047, 1.0, 1.08883])
    f = numpy.where(xyz > (6 / 29) ** 3, numpy.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return numpy.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def ciede2000(one, other):
    """Sharma, Wu and Dalal 2005, equations 2 to 22."""
    l1, a1, b1 = numpy.moveaxis(one, -1, 0)
    l2, a2, b2 = numpy.moveaxis(other, -1, 0)
    chroma = (numpy.hypot(a1, b1) + numpy.hypot(a2, b2)) / 2
    g = 0.5 * (1 - numpy.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = numpy.hypot(a1, b1), numpy.hypot(a2, b2)
    h1, h2 = numpy.degrees(numpy.arctan2(b1, a1)) % 360, numpy.degrees(numpy.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    turn = (h2 - h1 + 180) % 360 - 180
    turn = numpy.where(grey, 0, turn)
    dl, dc, dh = l2 - l1, c2 - c1, 2 * numpy.sqrt(c1 * c2) * numpy.sin(numpy.radians(turn / 2))
    l, c = (l1 + l2) / 2, (c1 + c2) / 2
    far = numpy.abs(h1 - h2) > 180
    h = numpy.where(grey, h1 + h2, numpy.where(far, (h1 + h2 + 360) / 2 % 360, (h1 + h2) / 2))
    cos = lambda degrees: numpy.cos(numpy.radians(degrees))
    t = 1 - 0.17 * cos(h - 30) + 0.24 * cos(2 * h) + 0.32 * cos(3 * h + 6) - 0.20 * cos(4 * h - 63)
    sl = 1 + 0.015 * (l - 50) ** 2 / numpy.sqrt(20 + (l - 50) ** 2)
    sc, sh = 1 + 0.045 * c, 1 + 0.015 * c * t
    rt = -numpy.sin(numpy.radians(60 * numpy.exp(-(((h - 275) / 25) ** 2)))) * 2 * numpy.sqrt(c**7 / (c**7 + 25.0**7))
    return numpy.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * (dc / sc) * (dh / sh))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("safelight")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--limit", type=float, default=2.0, help="the largest mean difference that passes")
    arguments = parser.parse_args()
    Image.MAX_IMAGE_PIXELS = 30_000_000
    beyond, compared = [], 0
    print(f"{'mean':>6} {'99 %':>6}  picture")
    for path in sorted(arguments.folder.rglob("*")):
        name = path.relative_to(arguments.folder)
        if not path.is_file() or name.parts[0] in ("bombs", "broken"):
            continue
        try:
            expected = reference(path)
        except Exception:  # Pillow reads less than we do.
            continue
        if expected is None:
            continue
        made, error = ours(arguments.safelight, path)
        if made is None or made.size != expected.size:
            print(f"{'':>13}  {name}: {error or (made.size, expected.size)}")
            beyond.append(name)
            continue
        difference = ciede2000(lab(expected), lab(made))
        compared += 1
        print(f"{difference.mean():6.2f} {numpy.percentile(difference, 99):6.2f}  {name}")
        if difference.mean() > arguments.limit:
            beyond.append(name)
    print(f"{compared} compared, {len(beyond)} beyond {arguments.limit}")
    sys.exit(1 if beyond or not compared else 0)


main()
