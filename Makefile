# make demo    captions the sounds of examples/ with the model that comes with the package
# make test    the whole test suite, offline
# make lint    ruff and mypy
# make docs    the documentation, into docs/_build
# make bench   every benchmark; one of them: make bench ARGS=mini
#
# Everything is installed into .venv from constraints.txt, once; a change of either file installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,train,video,serve,rag,quantize
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -c constraints.txt

.PHONY: demo test lint docs bench clean
.DELETE_ON_ERROR:

demo: export HF_HUB_OFFLINE = 1
demo: $(INSTALLED)
	@$(BIN)/earwitness caption examples
	@$(BIN)/earwitness caption examples/street.mp4 --window 5 --out build/street.srt --overwrite
	@echo; echo build/street.srt:; cat build/street.srt

test: $(INSTALLED_DEV)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED_DEV)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m sphinx -qW --keep-going docs docs/_build

bench: $(INSTALLED)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV)

# hatchling and editables first: with them in place pip builds without a second, hidden environment, and a
# repeated installation needs no network.
$(INSTALLED): constraints.txt pyproject.toml | $(BIN)/pip
	@echo "Installing earwitness into $(VENV) (about 1.5 GB; a few minutes)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(INSTALLED_DEV): constraints.txt pyproject.toml | $(BIN)/pip
	@echo "Installing earwitness[$(EXTRAS)] into $(VENV) (about 1.5 GB; a few minutes)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $(INSTALLED) $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "earwitness needs Python 3.11 or later: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
