"""One thread for linear algebra; import this before anything that loads numpy."""

import os

THREADS = 1
VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")

for _name in VARIABLES:
    os.environ.setdefault(_name, str(THREADS))
