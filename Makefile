# Every target sets up what it needs. On the machine: Python 3.11 to 3.14, and make.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.SUFFIXES:

SETUP := .venv/.complete
# The demo needs a fiftieth of what development does, so alone it gets a small environment.
DEMO_SETUP := $(if $(wildcard $(SETUP)),$(SETUP),.venv-demo/.complete)
DEMO_BIN := $(dir $(DEMO_SETUP))bin
INSTALL := requirements/install.sh requirements/network.py requirements/uv.txt
TORCH := requirements/cpu_torch.py requirements/cuda.in
PINS := $(INSTALL) pyproject.toml
# What a worker needs is in the environment with everything, too.
WORKER_SETUP := $(if $(wildcard $(SETUP)),$(SETUP),.venv/.worker)

.PHONY: help
help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf '%-20s %s\n' "$$name" "$$what"; done

.PHONY: setup
setup: $(SETUP) ## make .venv with everything, 2.5 GB; GPU=1 with CUDA, 6.5 GB, even if no GPU is seen
	@! command -v cargo >/dev/null || $(MAKE) --no-print-directory native \
		|| echo "warning: the native core could not be built; Python does its work, slower" >&2

.PHONY: setup-worker
setup-worker: $(WORKER_SETUP) ## make .venv with what the worker needs, 300 MB: .venv/bin/lately is there

.PHONY: native
native: .venv/.native ## build the native core with cargo, and put it into .venv

.PHONY: test-native
test-native: ## format, lint and unit tests of the native core
	cd core && cargo fmt --check
	cd core && cargo clippy --locked --all-targets -- -D warnings
	cd core && cargo clippy --locked --all-targets --no-default-features -- -D warnings
	cd core && cargo test --locked --no-default-features

.PHONY: demo
demo: $(DEMO_SETUP) ## broker, shoppers, worker and scores, live; SECONDS=20 ends it by itself
	@$(DEMO_BIN)/lately demo $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: test
test: $(SETUP) ## every test that needs no real Kafka
	.venv/bin/pytest -m 'not kafka' -rs -n logical --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-kafka
test-kafka: $(SETUP) ## the tests on a real Kafka: that of LATELY_TEST_BOOTSTRAP, or one from Maven
	.venv/bin/pytest -m kafka -rs -n 4 $(or $(ARGS),tests/kafka)

CHAOS := .chaos
.PHONY: chaos
chaos: $(SETUP) ## break real workers in every way; SEED=7 FAULT=broker-restart for one run, MINUTES=10 for a mix
	@mkdir -p $(CHAOS)
	.venv/bin/python -m tests.chaos $(if $(FAULT),--fault $(FAULT)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) --keep $(CHAOS) --out $(CHAOS)/results.jsonl

.PHONY: soak
soak: $(SETUP) ## an hour of faults around one worker that must live and not grow; MINUTES=10 SEED=7
	@mkdir -p $(CHAOS)
	.venv/bin/python -m tests.chaos.soak $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES)) --keep $(CHAOS) --out $(CHAOS)/soak.jsonl

.PHONY: lint
lint: $(SETUP) ## style, types, who imports whom, and the files of deploy/
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/yamllint --strict .
	.venv/bin/hadolint Dockerfile
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

.PHONY: bench
bench: $(SETUP) ## the engine beside other engines, on one Kafka
	.venv/bin/python -m benchmarks

.PHONY: bench-all
bench-all: $(SETUP) ## all figures of docs/performance.md, beside all peers; ARGS=--resume after a failure
	@$(MAKE) --no-print-directory bytewax || echo "warning: goes on without Bytewax" >&2
	.venv/bin/python -m benchmarks.all $(ARGS)

FUZZ_S := $(or $(SECONDS),60)
.PHONY: fuzz
fuzz: $(SETUP) ## messages led by coverage, worker against oracle, on Linux; SECONDS=600 for longer
	@mkdir -p $(CHAOS)
	.venv/bin/python -m tests.chaos.coverage_fuzz $(CHAOS)/corpus -max_total_time=$(FUZZ_S) \
		-max_len=1000 -timeout=10 -artifact_prefix=$(CHAOS)/ -print_final_stats=1 -verbosity=0

.PHONY: removals
removals: $(SETUP) ## take each security control out, and see its test fail; ARGS=--kafka for all
	.venv/bin/python -m tests.removals $(ARGS)

.PHONY: mutants
mutants: $(SETUP) ## random mutants of stream/, and how many the quick tests detect; SEED=7 MUTANTS=50
	.venv/bin/python -m tests.mutants --seed $(or $(SEED),0) $(if $(MUTANTS),--count $(MUTANTS))

.PHONY: audit
audit: .venv-audit/.complete ## known weaknesses of the pins; exits 2 where nobody here knows of any
	@.venv-audit/bin/python requirements/audit.py requirements/all.txt

.PHONY: sbom
sbom: .venv-audit/.complete ## dist/lately.cdx.json: what is in the product, as CycloneDX has it
	@mkdir -p dist
	.venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--short-PURLs -o dist/lately.cdx.json requirements/base.txt

.PHONY: rectools
rectools: .venv-rectools/.complete ## make .venv-rectools, for the peer in benchmarks/quality

.PHONY: bytewax
bytewax: .venv-bytewax/.complete ## make .venv-bytewax, for the peer in benchmarks/peers

.PHONY: picture
picture: $(SETUP) ## run the demo and draw docs/images/demo.svg, the picture in the README
	.venv/bin/python -m docs.images.demo

.PHONY: demo-artifact
demo-artifact: $(SETUP) ## train the demo's model again, on its made-up shop: some minutes
	.venv/bin/python -m model.synthetic.demo_artifact

# Versions agree because all.txt, which holds them all, constrains the others. The peer asks for some
# that differ, so there they are what it starts from.
COMPILE := .venv/bin/python requirements/network.py uv --no-config pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make pins' \
	$(ARGS)

.PHONY: pins
pins: $(SETUP) ## choose versions anew after a change of pyproject.toml; ARGS=--upgrade for newer ones
	$(COMPILE) pyproject.toml requirements/build.in --all-extras -o requirements/all.txt
	$(COMPILE) pyproject.toml requirements/build.in --extra demo -c requirements/all.txt \
		-o requirements/demo.txt
	$(COMPILE) pyproject.toml requirements/build.in -c requirements/all.txt -o requirements/base.txt
	$(COMPILE) pyproject.toml requirements/build.in --extra gpu -c requirements/all.txt \
		-o requirements/gpu.txt
	$(COMPILE) requirements/uv.in -c requirements/all.txt -o requirements/uv.txt
	$(COMPILE) requirements/native.in -c requirements/all.txt -o requirements/native.txt
	$(COMPILE) requirements/bytewax.in -c requirements/all.txt -o requirements/bytewax.txt
	$(COMPILE) requirements/audit.in -c requirements/all.txt -o requirements/audit.txt
	cp requirements/all.txt requirements/rectools.txt
	$(COMPILE) requirements/rectools.in -o requirements/rectools.txt

# For a Python that nobody here may have: nothing is installed, and only what a wheel is for counts.
RESOLVE := .venv/bin/python requirements/network.py uv --no-config pip install --quiet --dry-run \
	--only-binary :all: --require-hashes --target .venv/resolved
NEWEST := 3.14
# Faust has a source archive alone for Linux on arm64, as it has for every Python there; the oldest
# macOS that ONNX Runtime has wheels for is 14.
.PHONY: resolve
resolve: $(SETUP) ## see that the pins have wheels for Python 3.14 on Linux (x86, arm64) and macOS (arm64)
	@for pins in all base demo gpu; do \
		for platform in x86_64-manylinux_2_28 "aarch64-manylinux_2_28 --no-binary faust-streaming" \
			aarch64-apple-darwin; do \
			MACOSX_DEPLOYMENT_TARGET=14.0 $(RESOLVE) --python-version $(NEWEST) \
				--python-platform $$platform -r requirements/$$pins.txt || exit 1; done; done
	@echo "every pin has a wheel for Python $(NEWEST), but Faust on Linux with arm64"

# With another GPU=… it is made anew.
GPU_MARK := $(if $(GPU),.venv/.gpu-$(GPU))
.venv/.complete: requirements/all.txt $(PINS) $(TORCH) $(GPU_MARK)
	@requirements/install.sh .venv requirements/all.txt
	@touch $@ $(GPU_MARK)

.venv/.gpu-%: ;

.venv/.worker: requirements/base.txt $(PINS)
	@requirements/install.sh .venv requirements/base.txt
	@touch $@

.venv-demo/.complete: requirements/demo.txt $(PINS)
	@requirements/install.sh .venv-demo requirements/demo.txt
	@touch $@

NATIVE := $(wildcard core/Cargo.* core/pyproject.toml core/*.pyi core/src/*.rs core/src/*/*.rs)
WHEEL := .venv-native/wheel
.venv/.native: $(NATIVE) .venv-native/.complete | $(WORKER_SETUP)
	@command -v cargo >/dev/null || { echo "no cargo: install Rust 1.89 or newer" >&2; exit 1; }
	@echo "building the native core"
	@rm -rf $(WHEEL)
	@.venv-native/bin/maturin build --quiet --release --locked --manifest-path core/Cargo.toml \
		--interpreter .venv/bin/python --out $(WHEEL)
	@.venv/bin/python -m uv --no-config pip install --quiet --python .venv/bin/python --no-deps \
		--no-index --reinstall $(WHEEL)/*.whl
	@touch $@

.venv-native/.complete: requirements/native.txt $(INSTALL)
	@requirements/install.sh .venv-native requirements/native.txt bare
	@touch $@

.venv-audit/.complete: requirements/audit.txt $(INSTALL)
	@requirements/install.sh .venv-audit requirements/audit.txt bare
	@touch $@

.venv-rectools/.complete: requirements/rectools.txt $(INSTALL) $(TORCH)
	@requirements/install.sh .venv-rectools requirements/rectools.txt bare
	@touch $@

.venv-bytewax/.complete: requirements/bytewax.txt $(INSTALL)
	@requirements/install.sh .venv-bytewax requirements/bytewax.txt bare
	@touch $@
