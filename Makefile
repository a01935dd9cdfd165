# SPDX-License-Identifier: Apache-2.0
# GNU make. `make` alone lists the targets.

TOPO ?= two-pop
TARGET ?= softswitch
SWITCH ?= a
PYTHON ?= python3
STF_DIR ?= tests/stf
ARGS ?=

export PYTHON

VENV := .venv/.complete
SHELL_VENV := .venv-shell/.complete
PROGRAMS := .programs/.complete
SYNCLINE := .venv/bin/syncline
PY := .venv/bin/python
P4 := p4src/v1model/syncline.p4

.DEFAULT_GOAL := help
.PHONY: help build demo test simulate soak federated chaos stf fuzz lint analyze run shell bench clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  TOPO=two-pop        the topology of run: single, two-pop, three-pop, three-pop-federated or a YAML file"
	@echo "  TARGET=softswitch   the switches of run: softswitch or bmv2"
	@echo "  SWITCH=a            the switch of shell"
	@echo "  STF_DIR=tests/stf   the tests of stf"
	@echo "  ARGS=…              further arguments of demo, test, simulate, chaos, stf, fuzz and bench"

build: $(VENV) ## set up, and compile the P4 program into build/p4
	@$(SYNCLINE) compile $(P4) -o build/p4

demo: $(VENV) ## show on real traffic, through two PoPs, what Syncline does (needs root)
	@$(PY) -m controller.demo $(ARGS)

test: $(VENV) $(SHELL_VENV) $(PROGRAMS) ## run the tests; those that need root are skipped without it
	@$(PY) -m pytest $(ARGS)

simulate: $(VENV) ## the controller's state machines under 100,000 random schedules; ARGS="--seed 5" (docs/invariants.md)
	@$(PY) -m tests.simulator $(ARGS)

soak: $(VENV) $(PROGRAMS) ## scenarios in their long form: 20,000 connections, 1 GiB each way, … (needs root)
	@$(SYNCLINE) scenario run --soak --target $(TARGET) tests/scenarios/*.yaml

chaos: $(VENV) ## ten minutes of random faults under checked traffic (needs root); ARGS="--seed 7 --seconds 60"
	@$(PY) -m controller.chaos $(ARGS)

federated: $(VENV) $(PROGRAMS) ## scenarios with a controller for each PoP, over NATS (needs root)
	@$(SYNCLINE) scenario run --federated --target $(TARGET) tests/scenarios/*.yaml

stf: $(VENV) ## run the STF tests of STF_DIR, a folder with pairs of .p4 and .stf
	@$(SYNCLINE) stf $(STF_DIR) $(ARGS)

fuzz: $(VENV) ## feed the switch, built with sanitizers, with mutated real and made-up packets; ARGS="--seed 2 --count 1000000"
	@$(PY) -m tests.fuzz $(ARGS)

lint: $(VENV) ## check style, types and generated files
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@$(SYNCLINE) lab schema --check

analyze: $(VENV) ## gcc's static analysis of the switch's runtime and of the C that the compiler writes
	@$(PY) -m pytest tests/runtime/test_analysis.py $(ARGS)

run: $(VENV) ## bring up a lab with a prompt: host commands, sessions, status, exit (needs root)
	@$(SYNCLINE) lab run $(TOPO) --target $(TARGET) $(ARGS)

shell: $(VENV) $(SHELL_VENV) ## p4runtime-shell on a switch of the running lab, as a reader beside the controller
	@$(SYNCLINE) lab shell $(SWITCH)

bench: $(VENV) ## what switch and controller do in a second, beside the kernel's own ways (needs root); ARGS="--only bulk"
	@$(PY) -m controller.bench $(ARGS)

clean: ## take labs down, remove what was built; the environments stay
	@if [ -x $(SYNCLINE) ] && [ -d build/lab ] && [ "$$(id -u)" -eq 0 ]; then $(SYNCLINE) lab down; fi
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find controller softswitch tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environments
	rm -rf .venv .venv-shell .programs

# A stamp inside each environment, so that one that was made half is made again.
$(VENV): requirements.lock pyproject.toml
	@scripts/setup .venv requirements.lock --editable

$(SHELL_VENV): requirements-shell.lock
	@scripts/setup .venv-shell requirements-shell.lock

# What tests run on the hosts of labs: nginx, sshd, iperf3, …
$(PROGRAMS): scripts/programs
	@scripts/programs .programs
