"""evalaid: the effect of hospital partnership programmes on county inpatient share, with its origin and its limits.

The names below are the public interface; each is loaded when it is first used, so importing the package costs nothing.
"""

import lazy_loader

__version__ = "0.2.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name in __all__:
        return _load(name)
    raise AttributeError(f"module 'evalaid' has no attribute {name!r}; it offers {', '.join(__all__)}")
