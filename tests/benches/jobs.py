"""What is asked of all alike."""

from dataclasses import dataclass, field, replace

from PIL import Image


@dataclass(frozen=True)
class Job:
    """A picture of a width in a format, or of its own size. The height is the one that everybody should find, and is told to those who round otherwise."""

    source: str
    width: int | None
    height: int | None
    format: str
    quality: int = 75
    animated: bool = False
    sharp: dict | None = field(default=None, hash=False)
    headers: dict | None = field(default=None, hash=False)

    def options(self):
        """As Cloudflare's dialect has it."""
        width = f"width={self.width}," if self.width else ""
        return f"{width}quality={self.quality},format={self.format}"

    def at(self, quality):
        return replace(self, quality=quality)


def job(pictures, source, width, format, quality=75, **more):
    if not width:
        return Job(source, None, None, format, quality, **more)
    with Image.open(pictures / source) as picture:
        height = max(1, round(picture.height * width / picture.width))
        return Job(source, width, height, format, quality, **more)


def is_jxl(made):
    """A codestream, or a container. Pillow does not read them."""
    return made[:2] == b"\xff\x0a" or made[4:8] == b"JXL "
