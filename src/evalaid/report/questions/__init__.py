"""What the notebooks of a study show, as tidy frames: a study goes in, a frame comes out, one file per question."""
