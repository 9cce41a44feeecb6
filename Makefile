# The only door: `make help` lists what it opens. Each target sets up what it needs, at once if that is there already.

SERVING  := .venv-serving
CLIENT   := .venv-client
LAUNCHER := .venv-launcher
TRAINING := .venv-training
DEV      := .venv
# Only a test uses it: what that pip makes of the requirement sets.
OLDPIP   := .venv-oldest-pip
# Each in .venv-peers/<name>.
PEERS    := litserve mlserver bentoml ray flask_celery

# More arguments for the tool behind a target: make test ARGS="tests/unit -x", make train MODEL=diabetes ARGS="--help"
ARGS ?=
# client-notify also has what `python -m client notify` needs, client-streams what `produce` and `consume` need.
CLIENT_SET ?= client
# What the service needs beside the usual for gs://, az://, kafka:// and pubsub://, with "-" between: gs-kafka.
EXTRAS ?=
# What `make changed` holds the checkout against.
SINCE ?= HEAD

export PYTHONPATH := $(CURDIR)
# Where it is set, each process would compile anew all that it imports: a second and a half of processor at each start.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help

##@ Use
.PHONY: run
run: $(SERVING) ## Start the service at http://127.0.0.1:5100 (PORT, WORKERS, BROKER_URL, DATABASE_URL, EXTRAS change it)
	@exec $(SERVING)/bin/python -m production_server run $(ARGS)

.PHONY: client
client: $(CLIENT) ## Set up the command line client (CLIENT_SET=client-notify, client-streams: for all its commands)
	@echo "Ready: $(CLIENT)/bin/python -m client --help"

.PHONY: up
up: ## Start the service in containers at http://127.0.0.1:5100 (WORKERS, BIND, PORT, IMAGE_PREFIX change it)
	@tools/compose up

.PHONY: scale
scale: ## Run that many workers in containers: make scale WORKERS=3
	@tools/compose scale $(WORKERS)

.PHONY: ps
ps: ## Show the containers and their health
	@tools/compose ps

.PHONY: logs
logs: ## Follow the containers' logs
	@tools/compose logs $(ARGS)

.PHONY: down
down: ## Stop and remove the containers; jobs and results stay
	@tools/compose down

.PHONY: destroy
destroy: ## Remove the containers with all jobs, results, models and passwords; asks
	@tools/compose destroy $(ARGS)

.PHONY: launch
launch: $(LAUNCHER) ## Boot a cloud instance that answers predictions: make launch ARGS="lab --flavor m1.small"
	@exec $(LAUNCHER)/bin/python client/start_instance.py $(ARGS)

.PHONY: train
train: $(TRAINING) ## Train a model and write a new version of it: make train MODEL=diabetes
	@exec $(TRAINING)/bin/python -m production_server.training $(MODEL) $(ARGS)

# A command of one's own may need none of TensorFlow, the program for images does.
.PHONY: trainer
trainer: $(SERVING) $(TRAINING) ## Train models again from their labels, beside a broker: make trainer LEARNING_FILE=learning.yaml
	@IMPORT_PYTHON=$(TRAINING)/bin/python LEARNING_FILE=$(LEARNING_FILE) exec $(SERVING)/bin/python -m production_server trainer

# Only an ONNX file needs no TensorFlow; what it really is, its bytes say.
.PHONY: import
import: $(SERVING) $(if $(filter %.onnx,$(ARGS)),,$(TRAINING)) ## Make a model's file a version that serves: make import ARGS="model.onnx --name mine"
	@IMPORT_PYTHON=$(if $(filter %.onnx,$(ARGS)),,$(TRAINING)/bin/python) exec $(SERVING)/bin/python -m production_server models import $(ARGS)

# The model needs TensorFlow once, until the store has it.
FACES_STORE := $(or $(MODEL_STORE),$(or $(STATE_DIR),state)/models)
.PHONY: faces
faces: $(SERVING) $(CLIENT) $(if $(wildcard $(FACES_STORE)/faces),,$(TRAINING)) ## Say who is on the pictures in a folder: make faces DATA=photos (LABELS=folders: one for each person)
	@SERVING_PYTHON=$(SERVING)/bin/python TRAINING_PYTHON=$(TRAINING)/bin/python \
	    exec $(CLIENT)/bin/python -m tools.faces $(if $(DATA),"$(DATA)") --labels "$(LABELS)"

.PHONY: bench
bench: $(DEV) ## Measure how fast the service is on this machine
	@exec $(DEV)/bin/python -m benchmarks $(ARGS)

.PHONY: bench-peers
bench-peers: $(DEV) $(PEERS:%=.venv-peers/%) ## Measure other servers of models and this one, in turns: half an hour
	@exec $(DEV)/bin/python -m benchmarks.peers $(ARGS)

##@ Develop
.PHONY: test
test: $(DEV) $(OLDPIP) programs ## Run the tests, with services of their own: make test ARGS="tests/unit/jobs -x"
	$(PYTEST) $(ARGS)

.PHONY: coverage
coverage: $(DEV) $(OLDPIP) programs ## Run the tests, and show which lines none of them reaches: half as long again
	$(PYTEST) --cov --cov-report=term $(ARGS)

.PHONY: test-abuse
test-abuse: $(DEV) programs ## Have one do its worst and measure what others get, on a machine that does nothing else: a quarter of an hour
	$(DEV)/bin/pytest -n 0 tests/abuse $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## Have a machine try to break what reads strangers' bytes, ten minutes each: make fuzz ARGS="csv --seconds 60"
	@exec $(DEV)/bin/python -m tests.fuzz $(ARGS)

.PHONY: test-setup
test-setup: $(DEV) ## Set up and start a clone of HEAD as a newcomer does, without uv
	$(DEV)/bin/pytest tests/setup $(ARGS)

.PHONY: test-deploy
test-deploy: $(DEV) programs ## Boot instances in a container and launch them in an OpenStack without guests (needs TEST_RIG)
	$(PYTEST) tests/deploy $(ARGS)

.PHONY: test-compose
test-compose: $(DEV) programs ## Run the service in containers, and whatever may happen to them (needs a Docker engine or TEST_RIG)
	$(DEV)/bin/pytest tests/compose $(ARGS)

.PHONY: test-cloud
test-cloud: $(DEV) programs ## Launch real machines in a real OpenStack: half an hour (needs TEST_RIG)
	$(DEV)/bin/pytest tests/cloud $(ARGS)

.PHONY: check
check: $(DEV) $(OLDPIP) programs ## Run everything that CI runs: lint, type, arch, test, test-setup, -deploy and -compose
	@MAKE="$(MAKE)" tools/check

.PHONY: changed
changed: $(DEV) $(OLDPIP) programs ## Run what the changes since a commit can break, or those not committed: make changed SINCE=main
	@$(MAKE) lint type arch
	$(PYTEST) $$($(DEV)/bin/python tools/affected_tests.py $(SINCE)) $(ARGS)

.PHONY: lint
lint: $(DEV) ## Look for mistakes and bad style
	$(DEV)/bin/ruff check
	$(DEV)/bin/ruff format --check
	$(DEV)/bin/hadolint docker/Dockerfile
	$(DEV)/bin/shellcheck tools/check tools/compose tools/test-programs tools/virtualenv docker/extract-packages docker/make-environment docker/strip-base .ci/run cloud-init/*/usr/local/sbin/celeriac cloud-init/*/usr/local/lib/celeriac/*.sh

.PHONY: type
type: $(DEV) ## Check the types
	$(DEV)/bin/mypy

.PHONY: arch
arch: $(DEV) ## Check which module may import which
	$(DEV)/bin/lint-imports

.PHONY: format
format: $(DEV) ## Format the code and mend what a tool can mend
	$(DEV)/bin/ruff check --fix-only --quiet
	$(DEV)/bin/ruff format

.PHONY: lock
lock: $(DEV) ## Compile the requirement sets from pyproject.toml: make lock ARGS=--upgrade
	$(COMPILE) pyproject.toml --all-extras --group development -o requirements/development.txt
	$(COMPILE) pyproject.toml -c requirements/development.txt -o requirements.txt
	$(COMPILE) pyproject.toml --extra gs -c requirements/development.txt -o requirements/serving-gs.txt
	$(COMPILE) pyproject.toml --extra az -c requirements/development.txt -o requirements/serving-az.txt
	$(COMPILE) pyproject.toml --extra kafka -c requirements/development.txt -o requirements/serving-kafka.txt
	$(COMPILE) pyproject.toml --extra pubsub -c requirements/development.txt -o requirements/serving-pubsub.txt
	$(COMPILE) --group flower -c requirements/development.txt -o requirements/flower.txt
	$(COMPILE) --group client -c requirements/development.txt -o requirements/client.txt
	$(COMPILE) --group client-notify -c requirements/development.txt -o requirements/client-notify.txt
	$(COMPILE) --group client-streams -c requirements/development.txt -o requirements/client-streams.txt
	$(COMPILE) --group launcher -c requirements/development.txt -o requirements/launcher.txt
	$(COMPILE) --group training -c requirements/development.txt -o requirements/training.txt
	$(COMPILE) --group oldest-pip -o requirements/oldest-pip.txt
	@for peer in $(PEERS); do \
	    $(COMPILE) --group peer-$$peer -o requirements/peers/$$peer.txt || exit 1; \
	done

.PHONY: clean
clean: ## Remove the virtual environments and every cache; the service's state stays
	rm -rf .venv* .coverage* .fuzz .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# In as many processes as the machine is worth; a few files alone in one.
PYTEST  := $(DEV)/bin/pytest -n auto --dist loadscope --no-loadscope-reorder

# Hashes for every platform; no registry's address, since everyone has their own mirror.
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(DEV)/bin/uv pip compile --quiet \
    --universal --generate-hashes --no-strip-extras --no-emit-index-url --no-annotate $(ARGS)

# The environments are always looked at: the script returns at once if one holds what its requirements say.
.PHONY: $(SERVING) $(CLIENT) $(LAUNCHER) $(TRAINING) $(DEV) $(OLDPIP) $(PEERS:%=.venv-peers/%) programs
$(SERVING):
	@tools/virtualenv $@ $(if $(EXTRAS),$(patsubst %,requirements/serving-%.txt,$(subst -, ,$(EXTRAS))),requirements.txt)
$(CLIENT):
	@tools/virtualenv $@ requirements/$(CLIENT_SET).txt
$(LAUNCHER):
	@tools/virtualenv $@ requirements/launcher.txt
$(TRAINING):
	@tools/virtualenv $@ requirements/training.txt
$(DEV):
	@tools/virtualenv $@ requirements/development.txt
$(OLDPIP):
	@tools/virtualenv $@ requirements/oldest-pip.txt
$(PEERS:%=.venv-peers/%):
	@mkdir -p $(@D) && tools/virtualenv $@ requirements/peers/$(@F).txt
programs:
	@tools/test-programs
