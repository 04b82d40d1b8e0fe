# Volans. `make help` lists what can be made; everything generated stays in .venv and build.

VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PYTEST_ARGS ?= -n $(JOBS) --dist loadfile -q
SEEDS  ?= 2000
INPUTS ?= 1000000
MINUTES ?= 10

# The compiler: yours when you set CC, else the first that is there, behind ccache when that is there.
ifeq ($(origin CC),default)
CC := $(strip $(if $(shell command -v ccache),ccache) $(firstword $(notdir $(shell command -v gcc || command -v clang || command -v cc))))
endif
export CC
export PATH := $(abspath $(BIN)):$(PATH)
export VOLANS_JOBS := $(JOBS)

SOURCES := $(shell find src -name '*.py' -o -name '*.pxd')
PLAIN_LAYERS = $(shell $(BIN)/python tools/modules.py plain stubs)
STUBBED_MODULES = $(shell $(BIN)/python tools/modules.py stubbed)
VERIFY_DIR := build/verify
FUZZ_TESTS := tests/fuzz tests/property/test_protocol_hostile_inputs.py
ADDRESS_TESTS := tests/unit/test_memory_litmus.py tests/unit/test_ring_buffer_layout.py \
	tests/unit/test_log_append.py tests/unit/test_receive_image.py tests/fuzz tests/property \
	tests/unit/test_publication_sending.py tests/simulation/test_seeds_first_half.py
THREAD_TESTS := tests/unit/test_memory_litmus.py tests/unit/test_queues.py \
	tests/property/test_log_threads.py

.DEFAULT_GOAL := help
.PHONY: help demo test build verify lint types stubs floors hints table bench simulate fuzz sanitize soak grid fix lock clean distclean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build  ## build, then about ten seconds of messages: IPC, UDP, a file across, a table
	@$(BIN)/volans demo

test: build  ## build and run the tests (PYTEST_ARGS=... to choose)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

build: build/.built  ## make .venv and compile in place, for development

verify: build  ## the read-only gate: lint, types, stubs, floors, performance hints, feature table
	@$(MAKE) --no-print-directory --keep-going lint types stubs floors hints table
	@echo "verify: all is well"

bench: build  ## compare with pyaeron and pyzmq in one interleaved run (see benchmarks/)
	@$(BIN)/python -m benchmarks

simulate: build  ## simulate many seeds (SEEDS=2000); a failing seed is printed
	@$(BIN)/volans-sim --seeds $(SEEDS) --jobs $(JOBS)

fuzz: build  ## feed each decoder of driver, client and tools INPUTS=1000000 hostile inputs
	@VOLANS_FUZZ_INPUTS=$(INPUTS) $(BIN)/python -m pytest -n $(JOBS) --timeout=0 -q $(FUZZ_TESTS)

sanitize: $(VENV)/.tools  ## tests of memory under ASan and UBSan, of races under TSan (own builds)
	@tools/sanitize.sh address $(BIN)/python $(ADDRESS_TESTS)
	@tools/sanitize.sh thread $(BIN)/python $(THREAD_TESTS)

soak: build  ## churn clients and streams under load and loss for MINUTES=10; nothing may grow
	@$(BIN)/python tests/system/soak.py --minutes $(MINUTES)

grid: build  ## write tests/simulation/loss_grid.txt anew: what loss costs
	@$(BIN)/python -m volans.testing.loss_grid --write tests/simulation/loss_grid.txt

fix: $(VENV)/.tools $(VENV)/.package  ## format, repair what the linter can repair, write the generated pages anew
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/python tools/compatibility.py --write
	@$(BIN)/python tools/state_machines.py
	@$(BIN)/python tools/configuration.py --write

lock:  ## write requirements-dev.lock anew from the ranges in pyproject.toml
	@tools/lock.sh

clean:  ## remove what was built (keeps .venv)
	@rm -rf build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	@find src tests benchmarks tools -name '__pycache__' -prune -exec rm -rf {} +
	@find src -name '*.so' -delete

distclean: clean  ## remove .venv too
	@rm -rf $(VENV)

# --- the parts of `verify` ---

lint: $(VENV)/.tools
	@$(BIN)/ruff check --output-format concise .
	@$(BIN)/ruff format --check .
	@$(BIN)/cython-lint $$(find src -name '*.pxd')

types: $(VENV)/.tools
	@$(BIN)/mypy $(PLAIN_LAYERS) tools/*.py

stubs: build
	@if [ -n "$(STUBBED_MODULES)" ]; then MYPYPATH=src $(BIN)/python -m mypy.stubtest \
		--ignore-missing-stub --ignore-disjoint-bases --allowlist tools/stubtest-allowlist.txt \
		--ignore-unused-allowlist $(STUBBED_MODULES); fi

floors: $(VENV)/.package
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/cimport_floors.py

hints: $(VENV)/.tools
	@VOLANS_CYTHON_BUILD_DIR=$(VERIFY_DIR)/cython VOLANS_CFLAGS="-O0 -g0" $(BIN)/python setup.py -q \
		build_ext --build-lib $(VERIFY_DIR)/lib --build-temp $(VERIFY_DIR)/temp >/dev/null
	@echo "hints: no Cython performance hint"

table: $(VENV)/.tools
	@$(BIN)/python tools/compatibility.py --check

# --- stamps ---

$(VENV)/.made:
	@tools/venv.sh $(VENV)
	@touch $@

$(VENV)/.tools: requirements-dev.lock | $(VENV)/.made
	@echo "installing the development tools into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.lock
	@rm -rf build/cython $(VERIFY_DIR)  # perhaps the work of another Cython
	@touch $@

# The package itself by reference to src: scripts and metadata only, the code is compiled below.
$(VENV)/.package: pyproject.toml $(VENV)/.tools
	@VOLANS_ONLY=nothing $(BIN)/python -m pip install -q --disable-pip-version-check \
		--no-build-isolation --no-deps -e .
	@touch $@

build/.built: $(SOURCES) setup.py $(VENV)/.package
	@echo "compiling with '$(CC)', $(JOBS) at a time"
	@$(BIN)/python setup.py -q build_ext --inplace
	@mkdir -p build && touch $@
