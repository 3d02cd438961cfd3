"""What is asked of all alike."""

from dataclasses import dataclass, field, replace

from PIL import Image


@dataclass(frozen=True)
class Job:
    """A picture of a width in a format. The height is the one that everybody should find, and is told to those who round otherwise."""

    source: str
    width: int
    height: int
    format: str
    quality: int = 75
    animated: bool = False
    sharp: dict | None = field(default=None, hash=False)

    def options(self):
        """As Cloudflare's dialect has it."""
        return f"width={self.width},quality={self.quality},format={self.format}"

    def at(self, quality):
        return replace(self, quality=quality)


def job(pictures, source, width, format, quality=75, **more):
    with Image.open(pictures / source) as picture:
        height = max(1, round(picture.height * width / picture.width))
        return Job(source, width, height, format, quality, **more)
