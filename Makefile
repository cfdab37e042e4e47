# make demo        captions the sounds of examples/ with the model that comes with the package
# make test        the tests but those that train from end to end, offline
# make test-slow   the tests that train from end to end, offline
# make test-light  what works without torch, in an environment of its own, .venv-light
# make lint        ruff and mypy
# make docs        the documentation, into docs/_build
# make pictures    the pictures of the page in docs/images, by headless Chromium
# make mutants     150 changed operators and numbers: a test must fail for each (about an hour)
# make bench       every benchmark; one of them: make bench ARGS=mini
#
# Everything is installed from constraints.txt, once; a change of either file installs again. `make demo` installs
# the package alone into .venv, without torch; the others, except test-light, everything that they need.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
LIGHT := .venv-light
EXTRAS := dev,train,onnx,video,serve,rag,quantize,llm
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
pip = PIP_DISABLE_PIP_VERSION_CHECK=1 $(1)/bin/python -m pip install -qq -c constraints.txt

.PHONY: demo test test-slow test-light mutants lint docs pictures bench clean
.DELETE_ON_ERROR:

demo: export HF_HUB_OFFLINE = 1
demo: $(INSTALLED)
	@$(BIN)/earwitness caption examples
	@$(BIN)/earwitness caption examples/street.mp4 --window 5 --out build/street.srt --overwrite
	@echo; echo build/street.srt:; cat build/street.srt

# By files, for tests of a file share what they train or decode; one thread each, for the processes share the cores.
test test-slow: export HF_HUB_OFFLINE = 1
test test-slow: export OMP_NUM_THREADS = 1
test: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(INSTALLED_DEV)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "slow and not gpu" $(ARGS)

mutants: $(INSTALLED_DEV)
	@$(BIN)/python -m tests.mutants $(ARGS)

# confcutdir: the fixtures of the other tests need torch.
test-light: $(LIGHT)/.installed
	@HF_HUB_OFFLINE=1 $(LIGHT)/bin/python -m pytest tests/light --confcutdir=tests/light $(ARGS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED_DEV)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m sphinx -qW --keep-going docs docs/_build

pictures: $(INSTALLED_DEV)
	@SCREENSHOTS=docs/images HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m browser tests/serving/test_page.py -k screenshots

bench: $(INSTALLED_DEV)
	@HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) $(LIGHT)

# hatchling and editables first: with them in place pip builds without a second, hidden environment, and a
# repeated installation needs no network.
$(INSTALLED): constraints.txt pyproject.toml | $(BIN)/pip
	@echo "Installing earwitness into $(VENV) (about 350 MB; less than a minute)"
	@$(call pip,$(VENV)) hatchling editables
	@$(call pip,$(VENV)) --no-build-isolation -e .
	@touch $@

$(INSTALLED_DEV): constraints.txt pyproject.toml | $(BIN)/pip
	@echo "Installing earwitness[$(EXTRAS)] into $(VENV) (about 1.5 GB; a few minutes)"
	@$(call pip,$(VENV)) hatchling editables
	@$(call pip,$(VENV)) --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $(INSTALLED) $@

$(LIGHT)/.installed: constraints.txt pyproject.toml | $(LIGHT)/bin/pip
	@echo "Installing earwitness[serve] into $(LIGHT) (about 350 MB; less than a minute)"
	@$(call pip,$(LIGHT)) hatchling editables pytest
	@$(call pip,$(LIGHT)) --no-build-isolation -e '.[serve]'
	@touch $@

%/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "earwitness needs Python 3.11 or later: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $* || \
	  { rm -rf $*; echo "Python cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
