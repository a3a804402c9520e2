PYTHON ?= $(shell for p in python3.11 python3.12 python3.10; do \
	$$p -c '' 2>/dev/null && echo $$p && exit; done; echo python3)
TORCH ?= torch==2.13.0
STACK ?= official
VENV = .venv$(patsubst %,-%,$(filter-out official,$(STACK)))
DATA ?=
DEVICE ?=
EPOCHS ?=

# The recipes read these from the environment: paths with spaces or quotes survive.
export PYTHON TORCH STACK VENV DATA DEVICE EPOCHS

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-stacks lint clean

help:
	@echo 'make setup   build the environment in $(VENV) (once; other targets call it)'
	@echo 'make demo    train and evaluate the small demonstration'
	@echo 'make test    run the tests'
	@echo 'make test-stacks   run them on the official stack and on the forks'
	@echo 'make lint    check style and format'
	@echo 'make clean   remove the environments and everything built'
	@echo
	@echo 'Variables:'
	@echo '  PYTHON=python3.11      CPython 3.10, 3.11 or 3.12 that makes the environment'
	@echo '  TORCH=torch==2.13.0    the PyTorch to install'
	@echo '  STACK=official|onedl   OpenMMLab'"'"'s releases, or the forks in .venv-onedl'
	@echo '  DATA=DIR DEVICE=cpu|cuda EPOCHS=N   passed to tools/demo.py when set'

setup:
	@"$$PYTHON" tools/bootstrap.py --stack "$$STACK" --venv "$$VENV" --torch "$$TORCH"

demo: setup
	@"$$VENV"/bin/python tools/demo.py $${DATA:+--data "$$DATA"} \
		$${DEVICE:+--device "$$DEVICE"} $${EPOCHS:+--epochs "$$EPOCHS"}

# sarl first: on the forks MMYOLO can only be imported after it.
test: setup
	@"$$VENV"/bin/python -m pytest -p sarl

# One after the other, the second also where the first has failures.
test-stacks:
	@failed=; for stack in official onedl; do \
		echo "== $$stack"; \
		$(MAKE) --no-print-directory test STACK=$$stack || failed=1; \
	done; test -z "$$failed"

lint: setup
	@"$$VENV"/bin/python -m ruff check .
	@"$$VENV"/bin/python -m ruff format --check .

clean:
	rm -rf "$$VENV" .venv-onedl build dist sarl.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
