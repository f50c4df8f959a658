"""Build backend: flit's, and the wheel brings along what a project of a user needs (`SHIPPED`): notebooks, lists of places."""

import contextlib
import shutil
from pathlib import Path

from flit_core import buildapi
from flit_core.buildapi import *  # noqa: F403  (the hooks that need nothing else)

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src" / "evalaid" / "shipped"
SHIPPED = ("notebooks/[0-4]_*.ipynb", "notebooks/studies/schema.json", "data/regions/*.csv")


@contextlib.contextmanager
def shipped_files():
    """Put the files beside the package's modules while the wheel is built."""
    shutil.rmtree(TARGET, ignore_errors=True)
    try:
        for pattern in SHIPPED:
            found = sorted(ROOT.glob(pattern))
            if not found:
                raise FileNotFoundError(f"{pattern}: the sources are not whole, and the wheel would lack it")
            for path in found:
                place = TARGET / path.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
        yield
    finally:
        shutil.rmtree(TARGET, ignore_errors=True)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Build the wheel with the shipped files in it."""
    with shipped_files():
        return buildapi.build_wheel(wheel_directory, config_settings, metadata_directory)
