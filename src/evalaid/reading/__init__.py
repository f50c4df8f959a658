"""Read what an office has: messy tables, rosters and discharge records, with every decision taken about them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
