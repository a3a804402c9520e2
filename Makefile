PYTHON ?= $(shell for p in python3.11 python3.12 python3.10; do \
	$$p -c '' 2>/dev/null && echo $$p && exit; done; echo python3)
TORCH ?= torch==2.13.0
VENV = .venv
DATA ?=
DEVICE ?=
EPOCHS ?=

# The recipes read these from the environment: paths with spaces or quotes survive.
export PYTHON TORCH VENV DATA DEVICE EPOCHS

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint clean

help:
	@echo 'make setup   build the environment in $(VENV) (once; other targets call it)'
	@echo 'make demo    train and evaluate the small demonstration'
	@echo 'make test    run the tests'
	@echo 'make lint    check style and format'
	@echo 'make clean   remove the environment and everything built'
	@echo
	@echo 'Variables:'
	@echo '  PYTHON=python3.11      CPython 3.10, 3.11 or 3.12 that makes the environment'
	@echo '  TORCH=torch==2.13.0    the PyTorch to install'
	@echo '  DATA=DIR DEVICE=cpu|cuda EPOCHS=N   passed to tools/demo.py when set'

setup:
	@"$$PYTHON" tools/bootstrap.py --venv "$$VENV" --torch "$$TORCH"

demo: setup
	@"$$VENV"/bin/python tools/demo.py $${DATA:+--data "$$DATA"} \
		$${DEVICE:+--device "$$DEVICE"} $${EPOCHS:+--epochs "$$EPOCHS"}

test: setup
	@"$$VENV"/bin/python -m pytest

lint: setup
	@"$$VENV"/bin/python -m ruff check .
	@"$$VENV"/bin/python -m ruff format --check .

clean:
	rm -rf "$$VENV" build dist sarl.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
