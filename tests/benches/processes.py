"""Programs that are started: each writes what it says to a file of its own in FOLDER/logs, and a failure names that file."""

import pathlib
import re
import shutil
import subprocess

SHOWN = 10  # lines of a log, in the message about a failure

_logs = None


def keep_logs(folder):
    """Where logs are from now on. Those of the last run go."""
    global _logs
    _logs = folder / "logs"
    shutil.rmtree(_logs, ignore_errors=True)
    _logs.mkdir(parents=True)


def start(name, command, **more):
    """A program that runs beside this one. Its errors go to `process.log`, and its output as well where nobody reads it."""
    log = _free(name)
    with open(log, "wb") as errors:
        process = subprocess.Popen(_words(command), stderr=errors, **{"stdout": errors, **more})
    process.log = log
    return process


def run(name, command, **more):
    """What a program prints, run to its end."""
    log = _free(name)
    with open(log, "wb") as errors:
        done = subprocess.run(_words(command), stdout=subprocess.PIPE, stderr=errors, **more)
    if done.returncode != 0:
        raise failure(f"{name} ended with status {done.returncode}", log)
    return done.stdout


def failure(what, log):
    """The end of the program, with the last lines of a log and its path."""
    lines = pathlib.Path(log).read_text(errors="replace").splitlines()[-SHOWN:]
    return SystemExit("\n".join([f"{what}: see {log}", *(f"    {line}" for line in lines)]))


def _free(name):
    name = re.sub(r"\W+", "-", name)
    taken = len(list(_logs.glob(f"{name}-*.log")))
    return _logs / f"{name}-{taken + 1}.log"


def _words(command):
    return [str(word) for word in command]
