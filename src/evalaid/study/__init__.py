"""One programme with one set of parameters: what may be asked, the files that are read, and the sample they give."""
