"""Chromium shows JPEG XL of every kind that safelight writes, and asks for it: `make browser`.

Each picture is shown beside the PNG of the same options, and their pixels are compared on a canvas.
"""

import pathlib
import struct
import zlib

WIDTH, HEIGHT = 240, 180
# What is asked for, as `options/source`, and how far a sample may be from that of the PNG, on average.
KINDS = {
    "lossy": ("width=200,quality=75", "photo.jpg", 6),
    "high": ("width=200,quality=95", "photo.jpg", 3),
    "lossless": ("width=200,quality=100", "photo.jpg", 0.01),
    "alpha": ("width=200,quality=80", "fade.png", 6),
    "lossless alpha": ("width=200,quality=100", "fade.png", 0.5),
    "grey": ("width=200,quality=80", "grey.png", 6),
    "lossless grey": ("width=200,quality=100", "grey.png", 0.01),
    "16 bits": ("width=200,quality=80", "deep.png", 6),
    "lossless 16 bits": ("width=200,quality=100", "deep.png", 1),
    "repacked": ("quality=100", "photo.jpg", 3),
}
LOOK = """async ([jxl, png]) => {
    const pixels = async url => {
        const image = new Image();
        image.src = url;
        await image.decode();
        const canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const pen = canvas.getContext('2d');
        pen.drawImage(image, 0, 0);
        document.body.append(image);
        return { size: [canvas.width, canvas.height], data: pen.getImageData(0, 0, canvas.width, canvas.height).data };
    };
    const [ours, theirs] = [await pixels(jxl), await pixels(png)];
    if (ours.size.join() !== theirs.size.join()) return { size: `${ours.size} and ${theirs.size}` };
    let sum = 0;
    // As much of a colour as shows: a canvas keeps it multiplied with its alpha.
    const shown = (data, at) => at % 4 === 3 ? data[at] : data[at] * data[at - at % 4 + 3] / 255;
    for (let at = 0; at < ours.data.length; at++) sum += Math.abs(shown(ours.data, at) - shown(theirs.data, at));
    return { difference: sum / ours.data.length };
}"""


def png(path, bits, color, sample):
    """A PNG of `WIDTH` x `HEIGHT`; `sample` gives the samples of a pixel, from 0 to 1."""
    letter = {8: "B", 16: "H"}[bits]
    rows = b""
    for y in range(HEIGHT):
        samples = [value for x in range(WIDTH) for value in sample(x / WIDTH, y / HEIGHT)]
        rows += b"\0" + struct.pack(f">{len(samples)}{letter}", *(round(value * (2**bits - 1)) for value in samples))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, color, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def make(folder, photograph):
    """The sources of all kinds, and a page to show them on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text('<!doctype html><title>JPEG XL</title><link rel="icon" href="data:,">')
    (folder / "photo.jpg").write_bytes(pathlib.Path(photograph).read_bytes())
    png(folder / "grey.png", 8, 0, lambda x, y: [(x + y) / 2])
    png(folder / "fade.png", 8, 6, lambda x, y: [x, y, 0.5, x * y])
    png(folder / "deep.png", 16, 2, lambda x, y: [x, y, (x + y) / 2])


def show(visitor, base, folder):
    """Shows every kind, and returns what is wrong."""
    wrong = []
    types = {}
    visitor.page.on("response", lambda response: types.update({response.url: response.headers.get("content-type")}))
    visitor.page.goto(f"{base}/index.html")
    for kind, (options, source, tolerance) in KINDS.items():
        urls = [f"{base}/cdn-cgi/image/{options},format={format}/{source}" for format in ("jxl", "png-force")]
        try:
            seen = visitor.page.evaluate(LOOK, urls)
        except Exception as error:
            wrong.append(f"{kind}: {error}")
            continue
        if types.get(urls[0]) != "image/jxl":
            wrong.append(f"{kind}: is {types.get(urls[0])}")
        if not seen.get("difference", 256) <= tolerance:
            wrong.append(f"{kind}: differs from PNG: {seen}")
        print(f"jxl      {kind:18} differs by {seen.get('difference', 256):.3f} from PNG")
    # Of a thumbnail, the AVIF is made at once as well.
    automatic = f"{base}/cdn-cgi/image/width=400,format=auto/photo.jpg"
    visitor.page.evaluate(LOOK, [automatic, automatic])
    if types.get(automatic) != "image/jxl":
        wrong.append(f"format=auto: is {types.get(automatic)}: a Chromium from 155 on takes JPEG XL")
    visitor.page.screenshot(path=folder / "jxl.png", full_page=True)
    return [f"jxl: {one}" for one in wrong + visitor.wrong]
