"""Is this file of any use? What it holds, and every fault with its place: one file a kind of file."""
