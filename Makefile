# Every command of the project. `make` alone lists them.
# Python 3.11 or newer, make and (for tests) apt or installed servers are all that is needed.

VENV := .venv
PY := $(VENV)/bin/python
UV := 0.13.9
#: The first interpreter that is new enough.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
#: Each has servers of its own. Tests mostly wait for processes, so more than there are cores.
RUNNERS ?= 3
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes
# Tools that load the settings need values that nothing secret hangs on.
CHECKED := DEBUG=true
DEPLOYED := DEBUG=false SECRET_KEY=$$($(PY) -c 'import secrets; print(secrets.token_urlsafe(60))')

.DEFAULT_GOAL := help
.PHONY: help demo up test slow lint types screenshots chaos bench lock clean

help:  ## List the commands.
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime  ## A tour of the product in one process: starts, shows, stops. Needs no server.
	@$(PY) -m project.demo

ifdef SERVICES
up: $(VENV)/.runtime  ## Run the product until Ctrl-C; with SERVICES=1 on PostgreSQL and RabbitMQ.
	@$(PY) -m project.services install
	@$(PY) -m project.services up
else
up: $(VENV)/.runtime
	@$(PY) -m project.laptop $(ARGS)
endif

test: $(VENV)/.dev  ## Install what the tests need and run them all, RUNNERS modules side by side.
	@$(PY) -m project.services install --browser
	@$(PY) -m pytest --numprocesses $(RUNNERS) --dist loadfile --no-loadscope-reorder $(ARGS)

slow: $(VENV)/.dev  ## Run the tests that last for minutes, which the others leave out.
	@$(PY) -m project.services install
	@$(PY) -m pytest -m slow $(ARGS)

lint: $(VENV)/.dev  ## Check style, imports, migrations and deployment settings.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(CHECKED) $(VENV)/bin/lint-imports
	$(CHECKED) $(PY) manage.py makemigrations --check --dry-run
	@$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING

types: $(VENV)/.dev  ## Check types.
	$(CHECKED) $(VENV)/bin/mypy .

screenshots: $(VENV)/.dev  ## Take the pictures of the documentation anew.
	@$(PY) -m project.services install --browser
	@SCREENSHOTS=1 $(PY) -m pytest tests/acceptance/test_*browser.py

chaos: $(VENV)/.dev  ## Let faults strike real processes, by seed, and see what became of each export.
	@$(PY) -m project.services install
	@$(PY) -m tests.chaos $(ARGS)

bench: $(VENV)/.dev  ## Measure what the README claims, against plain Celery and psql.
	@$(PY) -m project.services install
	@$(PY) -m bench $(ARGS)

lock: $(VENV)/.dev  ## Pin the dependencies of pyproject.toml anew; UPGRADE=1 takes the newest.
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(call compile,requirements.txt,)
	@$(call compile,requirements-dev.txt,--group dev)

compile = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	$(if $(UPGRADE),--upgrade) pyproject.toml $(2) -o $(1)

clean:  ## Remove what the other commands made, data included.
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing. Install it: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv lacks pip. Install it: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/pip
	@echo "Installing the product's dependencies into $(VENV) ..."
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

# The development set holds the runtime's, pin for pin.
$(VENV)/.dev: requirements-dev.txt requirements.txt | $(VENV)/bin/pip
	@echo "Installing the dependencies of tests and tools into $(VENV) ..."
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime
