# The front door. `make run` and `make test` do all the set-up there is.
.PHONY: help docs run test test-portable test-browsers small asan oracle browser bench bench-crops bench-calibrate bench-parts bench-tools sbom tools clean

help:
	@echo "make run            build and serve examples/photos on http://127.0.0.1:8080"
	@echo "make test           all tests"
	@echo "make test-portable  all tests that see a codec, with those that need neither cmake nor nasm"
	@echo "make small          hosted images with 256 MiB of memory: a photo of 12 megapixels, three variants in three formats, and a gallery that"
	@echo "                    answers meanwhile; PORTABLE=1 for the build without cmake and nasm"
	@echo "make hostile        every picture of some folders, by 16 clients at once, with 512 MiB for the server and its workers together:"
	@echo "                    PICTURES=\"folder folder\" MEMORY=512"
	@echo "make asan           tests of the codecs, and 20,000 changed files, with the C code under AddressSanitizer; FILES=100 LARGE=9 SEED=2"
	@echo "make fuzz           what fuzzers make of requests, pictures and messages of workers, five minutes each; TARGETS=picture SECONDS=600"
	@echo "make soak           ten minutes of mixed load, with faults of the origin, kills and purges: no leak, no request without an answer; MINUTES=60"
	@echo "make oracle         pictures beside those of Pillow, LittleCMS and sharp: tables, and sheets to look at"
	@echo "make browser        Chromium visits a site through safelight, with a folder, a server and a bucket as its zone, the gallery and the playground: target/browser/*.png"
	@echo "make test-browsers  sites of six frameworks in Chromium and Firefox, on a phone and on a desktop: target/frameworks/screenshots"
	@echo "make bench          speed, size, looks and memory beside sharp and nginx, one table; ONLY=jpeg,memory for some of it;"
	@echo "                    needs Python 3.11 with venv, Node with npm, and Debian's apt-get"
	@echo "make bench-crops    crops of ours, theirs and a perfect reduction beside each other, to look at"
	@echo "make bench-parts    the parts of a request by themselves"
	@echo "make sbom           what is linked into safelight, as CycloneDX: target/sbom/safelight.cdx.json"
	@echo "make docs           a site of the documents in target/book, with search and a picture for each option"
	@echo "make advisories     the crates that are used beside RustSec's list of faults, from GitHub or from a clone: ADVISORIES=folder"
	@echo "make tools          install the build tools that are missing"

# The libraries as `make test` builds them, and our own code half optimised: sooner ready than `cargo build --release`, whose program is three to
# five times as fast.
run:
	@.ci/tools
	cargo run --config profile.dev.package.safelight.opt-level=1 -- serve --config config.toml

# A corpus of public pictures, good, broken and hostile, where there is one: its tests pass in silence where there is none.
CORPUS = $(or $(SAFELIGHT_CORPUS),../shared/corpus)

test:
	@.ci/tools test
	@test -d "$(CORPUS)" || echo "no corpus at $(CORPUS): nothing is tested with it"
	@unshare -m mount -t tmpfs none /mnt 2>/dev/null || unshare -Urm mount -t tmpfs none /mnt 2>/dev/null || \
		echo "nothing can be mounted here: full and read-only disks are not tested with"
	@{ command -v npm && python3 -m pip --version; } >/dev/null 2>&1 || \
		echo "no npm (with Node 20) or no pip here: the SDKs of Cloudflare are not tested with"
	cargo nextest run --test-threads $(THREADS)
	cargo test --doc

# Some tests wait for timeouts and other servers: with one for each processor, a quarter of the time would be idle.
THREADS = $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))

# Which build it is makes no difference to these, and `make test` has them.
WITHOUT_CODECS = test(/^(admin|bucket|cache|cli|files|freshness|source)::/) | (kind(lib) & \
	test(/^(api|clients|codecs::svg::(elements|sanitize|tests::draw)|cpu|hosted|operator|request|response|server|signature|telemetry|webhook)::/)) | \
	(binary(integration) & test(/^(admin|caching|check_command|client_library|client_limits|clients|cors|deployment|documents|fetching|file_names|flows)::/)) | \
	(binary(integration) & test(/^(freshness|generators|hosted|http2|images_command|images_failures|interim|keys|lifecycle|logging|long_originals)::/)) | \
	(binary(integration) & test(/^(mirror|originals|playground|protection|protocol|purging|reload|remembering|replicas|shared|signed_urls|slow_bucket)::/)) | \
	(binary(integration) & test(/^(sources|startup|traces|transfers|urls|warm_command|warming|webhooks)::/)) | binary(architecture) | binary(floors) | binary(messages)

test-portable:
	@.ci/tools test
	cargo nextest run --test-threads $(THREADS) --no-default-features --features portable -E 'not ($(WITHOUT_CODECS))'

# The release binary under `ulimit -v`. The portable one is built beside it.
PORTABLE =

small:
	@.ci/tools
ifeq ($(PORTABLE),)
	cargo build --release
	python3 -B tests/small/upload.py target/release/safelight
else
	cargo build --release --no-default-features --features portable --target-dir target/portable
	python3 -B tests/small/upload.py target/portable/release/safelight --portable
endif

# A control group of its own limits the memory, where this user may make one.
PICTURES = $(CORPUS)
MEMORY = 512

.PHONY: hostile
hostile:
	@.ci/tools
	$(if $(filter target/release/safelight,$(SAFELIGHT)),cargo build --release)
	python3 -B tests/small/hostile.py $(SAFELIGHT) $(PICTURES) --mebibytes $(MEMORY)

# The C and C++ codecs compiled to report every access out of bounds, with the runtime of gcc, which checks what Rust allocates as well: their
# own tests, the corpus, and changed files. A target of its own keeps build scripts and macros, which run in the compiler, without.
# libheif is the system's: what it takes and copies is seen, what it reads and writes by itself is not.
FILES = 20000
LARGE = 300
SEED = 1
ASAN_TARGET = $(shell rustc -vV | sed -n 's/^host: //p')
# Optimised, as `.cargo/config.toml` has it, which this takes the place of.
ASAN_FLAGS = -O2 -fsanitize=address -fno-omit-frame-pointer -g1
# It has to be loaded before all other libraries.
ASAN_RUNTIME = $(shell $(CC) -print-file-name=libasan.so)
# What is never freed on purpose would be told as a leak; an allocation that fails has to fail as it would without.
ASAN = CFLAGS="$(ASAN_FLAGS)" CXXFLAGS="$(ASAN_FLAGS)" RUSTFLAGS="-C link-arg=-lasan" \
	ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:abort_on_error=1" SAFELIGHT_CORPUS="$(abspath $(CORPUS))" \
	SAFELIGHT_MUTATIONS=$(FILES) SAFELIGHT_LARGE=$(LARGE) SAFELIGHT_SEED=$(SEED)
HEIC = $(shell pkg-config --exists 'libheif >= 1.14' 2>/dev/null && echo --features heic)
ASAN_TESTS = cargo --config 'target.$(ASAN_TARGET).runner = ["env", "LD_PRELOAD=$(ASAN_RUNTIME)"]' \
	test --target $(ASAN_TARGET) --target-dir target/asan $(HEIC)

asan:
	@.ci/tools
	$(if $(HEIC),,@echo "no libheif-dev 1.14 or newer: HEIC is not tested")
	$(ASAN) $(ASAN_TESTS) --lib -- codecs:: transform::tests --skip codecs::svg
	$(ASAN) $(ASAN_TESTS) --test mutations -- --nocapture

# LLVM's fuzzer, with the counters that the compiler adds. Inputs are kept and grow in target/fuzz/TARGET; what ends a fuzzer is in target/fuzz/found, and
# becomes an input of tests/fuzz/main.rs. Pictures begin with the files that `make asan` changes.
TARGETS = request options headers signature picture svg layout worker
SECONDS = 300
FUZZ_FEATURES = $(if $(PORTABLE),portable,native)
FUZZER = target/fuzz/build/$(ASAN_TARGET)/release/fuzzer
FUZZ_FLAGS = --cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
	-C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares

.PHONY: fuzz
fuzz:
	@.ci/tools
	mkdir -p target/fuzz/found $(TARGETS:%=target/fuzz/%)
	cp Cargo.lock tests/fuzz/Cargo.lock
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build --release --target $(ASAN_TARGET) --target-dir target/fuzz/build --manifest-path tests/fuzz/Cargo.toml \
		--no-default-features --features $(FUZZ_FEATURES)
	$(if $(filter picture,$(TARGETS)),SAFELIGHT_SEEDS="$(CURDIR)/target/fuzz/picture" cargo test --test mutations seeds_are_written_where_they_are_wanted)
	for target in $(TARGETS); do \
		SAFELIGHT_FUZZ=$$target $(FUZZER) target/fuzz/$$target -dict=tests/fuzz/words.dict -max_total_time=$(SECONDS) -timeout=30 -rss_limit_mb=4096 \
			-max_len=20000 -print_final_stats=1 -artifact_prefix="$(CURDIR)/target/fuzz/found/$$target-" || exit 1; \
	done

# One server and one origin, both killed now and then.
MINUTES = 10

.PHONY: soak
soak:
	@.ci/tools
	$(if $(filter target/release/safelight,$(SAFELIGHT)),cargo build --release)
	python3 -B tests/soak/soak.py $(SAFELIGHT) --minutes $(MINUTES)

# Independent renderers, from their packages; nothing of them is part of the product or of `make test`.
ORACLE = target/oracle

oracle:
	@.ci/tools
	@command -v npm >/dev/null || { echo "please install: nodejs and npm (for sharp)"; exit 1; }
	@test -d "$(CORPUS)" || { echo "no pictures at $(CORPUS): name a folder of some with CORPUS=..."; exit 1; }
	cargo build
	python3 -m venv $(ORACLE)
	$(ORACLE)/bin/pip install --quiet --disable-pip-version-check -r tests/oracle/requirements.txt
	npm install --silent --no-audit --no-fund --prefix $(ORACLE) sharp@0.35
	$(ORACLE)/bin/python tests/oracle/pictures.py target/debug/safelight $(ORACLE)/sheets --sharp $(ORACLE)
	$(ORACLE)/bin/python tests/oracle/color.py target/debug/safelight "$(CORPUS)"
	$(ORACLE)/bin/python tests/oracle/animations.py target/debug/safelight "$(CORPUS)"

# A browser, and a site that is made for it: see tests/browser/README.md. Nothing of it is part of the product or of `make test`.
BROWSER = target/browser

browser:
	@.ci/tools
	@command -v chromium >/dev/null || { echo "please install: chromium"; exit 1; }
	@command -v npm >/dev/null || { echo "please install: nodejs and npm (for axe-core)"; exit 1; }
	@command -v apt-get >/dev/null || { echo "please run it on Debian or its like: a font comes from Debian's packages (apt-get)"; exit 1; }
	cargo build
	python3 -m venv $(BROWSER)/python
	$(BROWSER)/python/bin/pip install --quiet --disable-pip-version-check -r tests/browser/requirements.txt
	npm install --silent --no-audit --no-fund --prefix $(BROWSER) axe-core@4.14.1
	$(BROWSER)/python/bin/python -B tests/browser/visit.py target/debug/safelight --folder $(BROWSER) --axe $(BROWSER)/node_modules/axe-core/axe.min.js

# Sites of frameworks in browsers: see tests/frameworks/README.md. The scripts lie beside their packages, where Node looks for them.
FRAMEWORKS = target/frameworks

test-browsers:
	@.ci/tools
	@command -v npm >/dev/null || { echo "please install: nodejs (20 or newer) and npm"; exit 1; }
	@command -v chromium >/dev/null || { echo "please install: chromium"; exit 1; }
	@command -v apt-get >/dev/null || { echo "please run it on Debian or its like: Firefox comes from Debian's packages (apt-get)"; exit 1; }
	cargo build
	mkdir -p $(FRAMEWORKS)
	cp tests/frameworks/*.mjs tests/frameworks/package.json $(FRAMEWORKS)
	npm install --silent --no-audit --no-fund --prefix $(FRAMEWORKS)
	PATH="$(CURDIR)/$(FRAMEWORKS)/node_modules/node/bin:$$PATH" node $(FRAMEWORKS)/visit.mjs target/debug/safelight examples $(CURDIR)/$(FRAMEWORKS)

# Everything that is measured, and those it is measured beside: see tests/benches/README.md. Nothing of it is part of `make test`.
BENCH = target/bench
SAFELIGHT = target/release/safelight
ONLY =
FORMATS =
ROUNDS = 5
OXIMG =
OXIMG_BINARY = $(BENCH)/oximg/bin/oximg
MEASURE = $(BENCH)/python/bin/python -B tests/benches/$(1) $(SAFELIGHT) --folder $(BENCH) --score $(BENCH)/score/release/score \
	--sharp $(BENCH)/node $(if $(OXIMG),--oximg $(OXIMG_BINARY))

bench: bench-tools
	$(call MEASURE,bench.py) --only "$(ONLY)" --formats "$(FORMATS)" --rounds $(ROUNDS)

bench-crops: bench-tools
	$(call MEASURE,crops.py)

bench-calibrate: bench-tools
	$(call MEASURE,calibrate.py) --only "$(ONLY)"

bench-parts:
	@.ci/tools
	cargo bench --bench parts

bench-tools: $(if $(OXIMG),$(OXIMG_BINARY))
	@.ci/tools
	@python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "please install: python3 (3.11 or newer) and python3-venv"; exit 1; }
	@command -v npm >/dev/null || { echo "please install: nodejs and npm (for sharp)"; exit 1; }
	@command -v apt-get >/dev/null || { echo "please run it on Debian or its like: nginx, wrk and pictures come from Debian's packages (apt-get)"; exit 1; }
	$(if $(filter target/release/safelight,$(SAFELIGHT)),cargo build --release)
	python3 -m venv $(BENCH)/python
	$(BENCH)/python/bin/pip install --quiet --disable-pip-version-check -r tests/benches/requirements.txt
	npm install --silent --no-audit --no-fund --prefix $(BENCH)/node sharp@0.35.5
	cargo build --release --locked --manifest-path tests/benches/score/Cargo.toml --target-dir $(BENCH)/score

$(OXIMG_BINARY):
	@.ci/tools
	cargo install oximg --version 0.18.1 --locked --root $(BENCH)/oximg

# What is linked into the program with all features, with versions, licenses and checksums.
CYCLONEDX = 0.5.9

sbom:
	@.ci/tools
	@test -x target/tools/bin/cargo-cyclonedx || CARGO_PROFILE_DEV_DEBUG=0 cargo install --profile dev cargo-cyclonedx --version $(CYCLONEDX) --locked --root target/tools
	mkdir -p target/sbom
	PATH="$(CURDIR)/target/tools/bin:$$PATH" cargo cyclonedx --format json --all-features --no-build-deps --spec-version 1.5 --override-filename safelight.cdx
	mv safelight.cdx.json target/sbom/

# The pictures of the options are made by the program itself.
docs:
	@.ci/tools docs
	cargo build
	@.ci/site target/debug/safelight target/tools/bin/mdbook

# Faults of crates that somebody has published. No package registry has that list: it comes from GitHub, or from a clone that is there already.
ADVISORIES =

.PHONY: advisories
advisories:
	@.ci/tools check
	.ci/advisories $(ADVISORIES)

tools:
	@.ci/tools

clean:
	cargo clean
