# Two commands: `make run` and `make test`. Each sets up what it needs and says what it does.
.PHONY: run test check help lock clean
.DEFAULT_GOAL := help

CONFIG ?=

help:
	@echo "make run    start gateway, worker and console from this clone (Ctrl-C stops everything)"
	@echo "            CONFIG=FILE uses another configuration than etc/supervisor.yaml"
	@echo "make test   run all tests"
	@echo "make check  lint, types, formatting (what CI runs before the tests)"
	@echo "make lock   resolve the dependencies again and rewrite the lock files"

run:
	@scripts/setup run
	@exec .venv/bin/glyphctl run $(if $(CONFIG),--config $(CONFIG))

# Pure tests share two cores; those with real processes, signals and deadlines run one by one.
test:
	@scripts/setup test
	.venv/bin/python -m pytest -n 2 --dist loadfile tests/unit tests/sim tests/contract $(PYTEST_ARGS)
	.venv/bin/python -m pytest tests/process tests/browser tests/systemd tests/chaos $(PYTEST_ARGS)

check:
	@scripts/setup test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -q tests/contract/test_layers.py

lock:
	@scripts/setup test
	.venv/bin/python scripts/lock.py

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
