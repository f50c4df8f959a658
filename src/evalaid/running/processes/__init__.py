"""How one notebook runs: in a fork of a warm process, or in a fresh one."""
