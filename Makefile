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

test:
	@.ci/tools test
	cargo nextest run
	cargo test --doc

test-portable:
	@.ci/tools test
	cargo nextest run --no-default-features --features portable

tools:
	@.ci/tools

clean:
	cargo clean
