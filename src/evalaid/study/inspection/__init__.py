"""Is this file usable? What it holds, and every fault with its place: one file per kind of file."""
