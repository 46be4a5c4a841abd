# Two commands do everything on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKSPACE := demo/workspace

SOAK_MINUTES ?= 20
SOAK_SEED ?= 0

.PHONY: setup demo test slow fuzz soak check bench bench-scale bench-gpu docs clean
.DELETE_ON_ERROR:

setup: $(VENV)/.ready  ## Create .venv and install semtune with everything that development needs

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup  ## The whole main job on simulated frames: search, Table 1, promotion, a score
	rm -rf demo && mkdir demo
	$(BIN)/semtune simulate demo/frames --fields 90 --settings 6 --seed 1
	$(BIN)/semtune check demo/frames
	$(BIN)/semtune --workspace $(WORKSPACE) search quick --data demo/frames --name demo
	$(BIN)/semtune --workspace $(WORKSPACE) report demo --out demo/table1.md --out demo/table1.html --out demo/table1.json
	@# Minutes of training on two cores may not beat the strongest classical row; the rule then refuses, and says so.
	$(BIN)/semtune --workspace $(WORKSPACE) promote demo || \
	$(BIN)/semtune --workspace $(WORKSPACE) promote demo --force "a demo of a few minutes, not a scorer to use"
	$(BIN)/semtune --workspace $(WORKSPACE) score demo/frames/frames/field_0000_00.png --controls brightness=50,contrast=45

test: setup  ## The fast tests
	$(BIN)/python -m pytest

slow: setup  ## Real clusters, servers, kills and whole commands
	$(BIN)/python -m pytest -m slow

fuzz: setup  ## 10,000 hostile inputs a target, new ones each time; the fast tests try the same 200
	$(BIN)/python -m pytest tests/test_hostile_input.py --hypothesis-profile fuzz --timeout 0 --durations 0 --verbose

soak: setup  ## Searches under random faults for SOAK_MINUTES, then a look at every invariant
	$(BIN)/python tests/integration/soak.py --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED)

check: setup  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## Speed as ratios in one run, against the yardsticks and text-book forms
	$(BIN)/python tests/benchmarks/run.py

bench-scale: setup  ## What 1000 trials of 20 epochs cost the driver, into the embedded store and into a server
	$(BIN)/python tests/benchmarks/bench_scale.py --tracking embedded
	$(BIN)/python tests/benchmarks/bench_scale.py --tracking server

bench-gpu:  ## Training and scoring beside bare CUDA graphs; says so where there is no GPU
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) tests/benchmarks/bench_gpu.py

docs: setup  ## The documents as a site in site/, dead links refused
	$(BIN)/python -m typer semtune.cli utils docs --name semtune --output docs/reference/cli.md
	DISABLE_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet

clean:
	rm -rf demo benchmark-results build dist *.egg-info
