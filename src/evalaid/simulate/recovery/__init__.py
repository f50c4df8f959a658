"""Which methods find a known effect under a programme's own design: what is tried, and how well it does over draws."""
