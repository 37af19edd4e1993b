# Everything on a fresh machine: `make demo` runs the main job, `make test` proves it.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

# Tests use Ray, and train with Unsloth too. Unsloth goes in without its dependencies: it asks for a certifi newer than
# mirrors may have, and for image packages that text models do not need. What it does need is named here, pinned in
# constraints.txt.
UNSLOTH := unsloth==2026.10.9 unsloth_zoo==2026.10.9
UNSLOTH_NEEDS := bitsandbytes triton torchao tyro cut_cross_entropy einops msgspec hf_transfer protobuf wheel

MODEL := runs/nano/export/goDrive-q4_K_M.gguf

.PHONY: demo certified test lint bench install clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	touch $@

demo: install
	$(BIN)/drivecoach tune recipes/nano.yaml --examples 5

# Every state counted: what the demo model gets wrong is taught to it, until nothing is (exit code 3: something still is).
certified: install
	$(BIN)/drivecoach tune recipes/nano.yaml --no-deploy
	$(BIN)/drivecoach refine runs/nano || test $$? -eq 3
	$(BIN)/drivecoach verify --check runs/nano-refined/verify/certificate.json

$(VENV)/.tested: $(VENV)/.installed Makefile
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ray]' $(UNSLOTH_NEEDS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(UNSLOTH)
	touch $@

# Two at a time: much of a test is one thread's work. Whoever is done first takes over from the other.
test: $(VENV)/.tested
	$(BIN)/python -m pytest -n 2 --dist worksteal

# About an hour on two cores, which nothing else should use. OLLAMA_HOST names an Ollama to compare with.
bench: $(VENV)/.tested
	test -f $(MODEL) || $(MAKE) demo
	$(BIN)/python benchmarks/all.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) runs build dist *.egg-info
