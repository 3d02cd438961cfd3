# The front door. `make run` and `make test` do all the set-up there is.
.PHONY: help run test test-portable tools clean

help:
	@echo "make run            build and serve examples/photos on http://127.0.0.1:8080"
	@echo "make test           all tests"
	@echo "make test-portable  all tests, with codecs that need neither cmake nor nasm"
	@echo "make tools          install the build tools that are missing"

run:
	@.ci/tools
	cargo run --release -- serve --config config.toml

# A corpus of public pictures, good, broken and hostile, where there is one: its tests pass in silence where there is none.
CORPUS = $(or $(SAFELIGHT_CORPUS),../shared/corpus)

test:
	@.ci/tools test
	@test -d "$(CORPUS)" || echo "no corpus at $(CORPUS): nothing is tested with it"
	cargo nextest run
	cargo test --doc

test-portable:
	@.ci/tools test
	cargo nextest run --no-default-features --features portable

tools:
	@.ci/tools

clean:
	cargo clean
