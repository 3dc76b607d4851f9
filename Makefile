# `make` says what can be made. It needs Python 3.11 to 3.13, make and git; everything else goes to .venv.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup search test browser screenshots fuzz ui bench lock faults

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c "$(FITS)" 2>/dev/null && { echo "$$python"; break; }; done)
FITS := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
ARGS ?=

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: .venv/.set-up  ## everything into .venv, at the pinned versions (again only when they change)

search: setup  ## a search: ARGS="task=day_night budget.trials=5" (task=cat_species without a task)
	.venv/bin/python -m pipeline.search $(if $(filter task=%,$(ARGS)),,task=cat_species) $(ARGS)

test: setup  ## linter, formatter, refused words, order of imports, type checker and tests: ARGS="-k space" for some of the tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/codespell pipeline conf bench docs README.md CONTRIBUTING.md CHANGELOG.md
	.venv/bin/lint-imports --no-cache
	@# The type checker has one core, and the tests leave one idle at times.
	.venv/bin/mypy & types=$$!; \
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --no-loadscope-reorder $(ARGS); tests=$$?; \
	wait $$types && exit $$tests

browser:  ## Chromium and a font for the tests that look at pages (of Debian, as root; nothing where they are there)
	@if command -v chromium >/dev/null && [ -d /usr/share/fonts/truetype/dejavu ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
		echo "make browser: Chromium is missing; on Debian, as root: apt-get install chromium fonts-dejavu-core" >&2; \
		exit 2; \
	fi; \
	apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core >/dev/null

screenshots: setup browser  ## docs/mlflow_*.png from a store with a search of cat_species: ARGS=mlruns
	.venv/bin/python docs/screenshots.py $(or $(ARGS),mlruns)

fuzz: setup  ## the readers of model files, guided by coverage: ARGS="seconds=600"
	.venv/bin/uv pip install --python .venv/bin/python --quiet --group fuzz
	.venv/bin/python -m tests.fuzz $(ARGS)

ui: setup  ## the searches in a browser: ARGS="store=mlruns port=5001"
	.venv/bin/python -m pipeline.ui $(ARGS)

bench: setup  ## training against the loops that people write: ARGS="case=A,B pairs=5"
	.venv/bin/python -m bench $(ARGS)

faults: setup  ## every fault, injected for real, half an hour: ARGS="F1 F10" for some, ARGS=short for each a few times
	.venv/bin/python -m tests.faults $(ARGS)

lock: .venv/.uv  ## the versions pinned again from pyproject.toml: ARGS=--upgrade for the newest
	.venv/bin/uv pip compile pyproject.toml --extra pretrained --extra onnx --group dev --universal --generate-hashes --no-header $(ARGS) \
		--quiet -o requirements.lock.txt
	echo uv | .venv/bin/uv pip compile - --python-version 3.11 --universal --generate-hashes --no-header --no-annotate \
		$(ARGS) --quiet -o requirements.bootstrap.txt

# The two stamps are written last: what was interrupted is done again.
.venv/.set-up: .venv/.uv requirements.lock.txt pyproject.toml
	@rm -f $@
	.venv/bin/uv pip sync --python .venv/bin/python --require-hashes --compile-bytecode requirements.lock.txt
	.venv/bin/uv pip install --python .venv/bin/python --offline --no-deps --editable .
	@touch $@

.venv/.uv: requirements.bootstrap.txt
	@rm -f $@
	@{ .venv/bin/python -c "$(FITS)" && .venv/bin/python -m pip --version; } >/dev/null 2>&1 || { \
		"$(PYTHON)" -c "$(FITS)" 2>/dev/null || { \
			echo "Python 3.11, 3.12 or 3.13 with its venv module is needed; found $(or $(PYTHON),none). Install one" \
				"(Debian, Ubuntu: apt install python3-venv) or name one: make setup PYTHON=/path/to/python3.12" >&2; \
			exit 2; }; \
		"$(PYTHON)" -m venv --clear .venv; }
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements.bootstrap.txt
	@touch $@
