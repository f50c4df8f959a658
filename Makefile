# Thin: everything is in run.py, which also works where there is no make.
PYTHON ?= python3

.PHONY: reproduce test lab docs bench coverage verify lock
reproduce: ; $(PYTHON) run.py
test: ; $(PYTHON) run.py test
lab: ; $(PYTHON) run.py lab
docs: ; $(PYTHON) run.py docs
bench: ; $(PYTHON) run.py bench
coverage: ; $(PYTHON) run.py coverage
verify: ; $(PYTHON) run.py verify
lock: ; $(PYTHON) run.py lock
