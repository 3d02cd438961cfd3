"""Programs and pictures from their packages, unpacked below the folder of the benchmarks: nothing is installed on the machine."""

import pathlib
import shutil
import subprocess
import tempfile


def debian(name, folder):
    """Where the Debian package `name` is unpacked."""
    unpacked = folder / "packages" / name
    if unpacked.is_dir():
        return unpacked
    if not shutil.which("apt-get"):
        raise SystemExit(f"`{name}` comes from Debian's packages: apt-get is not there")
    folder.joinpath("packages").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if _download(name, place).returncode != 0:
            subprocess.run(["apt-get", "update", "-qq"], check=False)
            done = _download(name, place)
            if done.returncode != 0:
                raise SystemExit(f"cannot download the Debian package `{name}`: {done.stderr.strip()}")
        archive, = pathlib.Path(place).glob("*.deb")
        subprocess.run(["dpkg", "-x", archive, f"{place}/unpacked"], check=True)
        pathlib.Path(place, "unpacked").rename(unpacked)
    return unpacked


def npm(name, folder):
    """Where the npm package `name` (as `sharp@0.0.1`) is unpacked, without what it depends on."""
    unpacked = folder / "packages" / name
    if unpacked.is_dir():
        return unpacked
    folder.joinpath("packages").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        done = subprocess.run(["npm", "pack", "--silent", name], cwd=place, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"cannot download the npm package `{name}`: {done.stderr.strip()}")
        shutil.unpack_archive(pathlib.Path(place, done.stdout.split()[-1]), f"{place}/unpacked")
        pathlib.Path(place, "unpacked", "package").rename(unpacked)
    return unpacked


def _download(name, place):
    # Run by root, apt would otherwise complain that its own user cannot write here.
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", name]
    return subprocess.run(command, cwd=place, capture_output=True, text=True)
