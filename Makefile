# Everything a newcomer needs is behind these; each sets up what it uses, inside this folder.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# uv: the machine's, or one installed into .tools/ here.
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN = $(UV) run --frozen
# Tests wait for servers, browsers and simulated lines: half as many again as there are cores keep these busy.
WORKERS := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 3 / 2 )))

.PHONY: help setup demo test test-all check format bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.tools/bin/uv:
	@echo "uv is not on this machine: installing it into .tools/"
	@python3 -m venv .tools 2>/dev/null && .tools/bin/python -m pip install --quiet uv \
	  || { rm -rf .tools; python3 -m pip install --quiet --target .tools uv; } \
	  || { echo "python3 here has neither venv nor pip: install python3-venv, or uv (https://docs.astral.sh/uv)."; exit 1; }

setup: | $(UV) ## Install what the others need (they call it)
	@$(UV) sync --frozen --quiet

demo: setup ## Start a simulated neighbourhood and Wattkeeper reading it; prints one URL
	@exec $(RUN) wattkeeper demo

test: setup ## Run the tests (minutes)
	$(RUN) pytest -n $(WORKERS) --dist worksteal -m "not slow"

test-all: setup ## Run all tests: kills, long fuzz, both sizes of the stores (under an hour)
	$(RUN) pytest -n $(WORKERS) --dist worksteal
	WATTKEEPER_STORE=large $(RUN) pytest -n $(WORKERS) --dist worksteal -m "not slow and not embedded" tests/integration/readings

check: setup ## Lint, types, layers
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports

format: setup ## Format the code
	$(RUN) ruff format
	$(RUN) ruff check --fix

bench: setup ## Print the speed figures, each beside its peer or limit
	$(RUN) python benchmarks/run.py

clean: ## Remove what was built and installed here (data/ stays)
	rm -rf .venv .tools dist web/node_modules src/wattkeeper/web/static/dist src/wattkeeper/billing/fonts
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
