# Set-up included: every target needs Python 3.10 to 3.13 and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Another seed is another run: make demo SEED=1 OUT=runs/demo-1
SEED ?= 0
OUT ?= runs/demo
# The training images of CIFAR-10, a folder or a .zip with one folder per class.
DATA ?= data/cifar10-train.zip
# The folder of nasbenchmacro-cifar10.csv and nasbench201-cifar10.csv.
TABLES ?= data
INSTALLED := $(VENV)/.installed
DOCS_INSTALLED := $(VENV)/.docs-installed
SITE ?= build/site

.PHONY: demo test lint format docs wheel-check paper-small gpu-bundle clean help

help:
	@echo "make demo    find a network for cluttered digits, and compare it with others of its cost"
	@echo "make test    run every test and doctest"
	@echo "make lint    run the linters and the type checker"
	@echo "make format  format the code"
	@echo "make docs    build the site of the documentation; needs Python 3.11 or newer"
	@echo "make wheel-check  build the wheel, and run it in an environment of what it declares"
	@echo "make paper-small  the tables of the paper on CIFAR-10, in hours; resumes"
	@echo "make gpu-bundle   a folder that measures the GPU of a machine without internet"

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/spos run --space nasbenchmacro --preset tiny --max-flops 480K --population 25 \
		--iterations 8 --finalists 5 --set finalists.share=0.5 --compare 5 --threads 1 \
		--seed $(SEED) --out $(OUT)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 4 --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCS_INSTALLED)
	$(BIN)/python -m sphinx --fail-on-warning --quiet -c docs . $(SITE)
	@echo $(SITE)/index.html

wheel-check: $(INSTALLED)
	.ci/wheel-check $(BIN)/python

paper-small: $(INSTALLED)
	$(BIN)/python benchmarks/paper_small.py --data folder:$(DATA) --set data.test=10000 \
		--set search.iterations=6 --set search.naswot_weight=0.5 --random 40 --seeds 5 \
		--cheaper-seeds 5 --loss-alone-seeds 5 --set differentiable.temperature_decay=1 --differentiable-seeds 2 \
		--differentiable fbnet=3800 darts=3800 proxylessnas=7500 --processes 2 --runs runs/paper-small --out runs/paper-small/table

gpu-bundle: $(INSTALLED)
	$(BIN)/python benchmarks/gpu_bundle.py --data $(DATA) --tables $(TABLES) --out build/gpu-bundle

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
