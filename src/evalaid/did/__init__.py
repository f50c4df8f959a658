"""Difference-in-differences: panel to design to effects to inference to sensitivity. Knows no file and no study."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
