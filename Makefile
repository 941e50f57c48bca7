# Every target works as the first command on a fresh clone. A second run installs nothing and needs
# no network: the stamp files stand for what is installed, and change only with what they depend on.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet \
	--root-user-action=ignore

.PHONY: setup demo test check bench peer solana-py long soak chaos mutants

CLIENTS := tests/conformance
OTHER_CLIENTS := $(CLIENTS)/node_modules/.installed $(CLIENTS)/pay/node_modules/.installed \
	.venv-x402/.installed

setup: .venv/.installed node_modules/.installed contracts/artifacts/.built

demo: setup
	$(BIN)/sandbox demo

# Three at a time, as many wait for blocks; the tests of one file stay together, and share what they
# start, and so do some folders (tests/spread.py), which come first. The others in their own order:
# files of one long test would come last and leave the other half idle.
test: setup $(OTHER_CLIENTS)
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict sandbox merchants contracts
	$(BIN)/lint-imports

bench: setup
	$(BIN)/sandbox bench

# The same work in another ledger from the registries, which only this target installs.
peer: setup .venv-peer/.installed
	$(BIN)/python -m tests.bench.peer .venv-peer/bin/python

.venv-peer/.installed: tests/bench/peer.lock
	$(PYTHON) -m venv .venv-peer
	.venv-peer/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
		--root-user-action=ignore --require-hashes -r tests/bench/peer.lock
	touch $@

# solana-py's own integration tests against our devnet; their source comes by its hash, here only.
solana-py: setup .venv-solana-py/sources/.unpacked
	$(BIN)/python -m tests.conformance.solana_py_suite .venv-solana-py/bin/python \
		.venv-solana-py/sources

.venv-solana-py/sources/.unpacked: $(CLIENTS)/solana-py-sdist.lock .venv-solana-py/.installed
	rm -rf .venv-solana-py/sources && mkdir .venv-solana-py/sources
	$(BIN)/python -m pip --python .venv-solana-py/bin/python --disable-pip-version-check \
		--no-input download --quiet --no-deps --no-build-isolation --no-binary solana \
		--require-hashes --dest .venv-solana-py/sources -r $<
	tar -xzf .venv-solana-py/sources/solana-*.tar.gz -C .venv-solana-py/sources --strip-components=1
	touch $@

# What a normal run shows, on the other chain or with other seeds: some five minutes.
long: setup $(OTHER_CLIENTS)
	$(BIN)/pytest -m long -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Long random histories, a hundred audits, ten minutes of schemathesis: about half an hour.
soak: setup
	$(BIN)/pytest -m soak $(ARGS)

# One sandbox, killed again and again while payments go on and the reserve issues and redeems;
# KILLS=300 is the long run. SEED= plays one again, WINDOWS=reserve or payments picks the points.
KILLS ?= 50
chaos: setup
	$(BIN)/python -m tests.chaos.runner --kills $(KILLS) $(if $(SEED),--seed $(SEED)) \
		$(if $(WINDOWS),--windows $(WINDOWS))

# Do the tests notice when a line of an EVM contract is broken? A fifth of all ways, some
# six minutes; COUNT= tries every one, in half an hour.
COUNT ?= 60
mutants: setup
	$(BIN)/python -m tests.contracts.evm.mutants $(COUNT)

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'; \
		exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/.locked: requirements-dev.lock | .venv/.made
	$(PIP) --require-hashes -r requirements-dev.lock
	touch $@

# The build back end is locked with everything else, so nothing is fetched here.
.venv/.installed: pyproject.toml .venv/.locked
	$(PIP) --no-index --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q sandbox merchants contracts
	touch $@

NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

node_modules/.installed: package.json package-lock.json .npmrc
	@node -e 'process.exit(+(process.versions.node.split(".")[0] < 20))' || { \
		echo 'Node 20 or newer with npm is needed: install it and run make again'; exit 1; }
	$(NPM_CI)
	touch $@

# Clients that cannot live beside ours, each with the others it needs: some 15 seconds in all.
$(CLIENTS)/node_modules/.installed $(CLIENTS)/pay/node_modules/.installed: \
		%/node_modules/.installed: %/package.json %/package-lock.json %/.npmrc \
		| node_modules/.installed
	cd $* && $(NPM_CI)
	touch $@

.venv-x402/.installed .venv-solana-py/.installed: .venv-%/.installed: $(CLIENTS)/%.lock \
		| .venv/.installed
	$(PYTHON) -m venv --without-pip .venv-$*
	$(BIN)/python -m pip --python .venv-$*/bin/python --disable-pip-version-check --no-input \
		install --quiet --root-user-action=ignore --no-compile --require-hashes -r $<
	touch $@

contracts/artifacts/.built: $(wildcard contracts/*.vy) contracts/evm.py contracts/evm_build.py \
		| .venv/.installed
	$(BIN)/python -m contracts.evm_build >/dev/null
	touch $@
