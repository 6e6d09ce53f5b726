# Targets of this repository. `make` alone prints them.

VENV := target/venv
WOMACK_BIN := $(CURDIR)/target/debug/womack
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
INSTALL := $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq
NCHAN := /usr/lib/nginx/modules/ngx_nchan_module.so
comma := ,
FUZZ_SECONDS := 60
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
# The last commit whose nodes do not know the envelope.
RELEASE_0_2_0 := 47bd352

.PHONY: help run test stress random simulate mutants models sanitize attack soak deps lint advisories package fmt bench counts fanout proof loadtest fuzz versions

help:
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: ## build and run the server
	cargo run --release -p womack

test: deps ## install what the tests need, and run them all
	cargo build -p womack --examples
	cargo test --workspace --all-targets --exclude womack-sim
	cargo test --workspace --doc --exclude womack-sim
	cargo test -p womack-sim
	cd clients/python && $(CURDIR)/$(VENV)/bin/pytest -q
	cd clients/javascript && WOMACK_BIN=$(WOMACK_BIN) npm test

stress: deps ## run tests again and again beside two busy processes: make stress TEST=lines:: N=200
	$(VENV)/bin/python crates/womack/tests/stress.py --runs $(or $(N),200) $(if $(PACKAGE),--package $(PACKAGE)) $(TEST)

random: deps ## have random clients look for broken promises: make random TEST=a_cluster SECONDS=600 SEED=7
	$(if $(SECONDS),WOMACK_RANDOM_SECONDS=$(SECONDS)) $(if $(SEED),WOMACK_RANDOM_SEED=$(SEED)) \
	cargo test -p womack --test it random::$(or $(TEST),a_) -- --nocapture --include-ignored --test-threads 1

simulate: ## run the server's parts in simulated time: make simulate SEEDS=1000 SEED=1
	cargo run --release -p womack-sim -- --twice --seeds $(or $(SEEDS),1000) --seed $(or $(SEED),1)

models: ## check the queues between threads in every order of their steps: make models MODEL=dirty PREEMPTIONS=4
	$(if $(PREEMPTIONS),LOOM_MAX_PREEMPTIONS=$(PREEMPTIONS)) cargo test -p womack-engine --test models -- $(MODEL)

mutants: deps ## undo mends one by one, and check that the simulation or a test fails with each: make mutants ONLY=busy
	$(VENV)/bin/python crates/womack-sim/mutants/mutants.py $(if $(ONLY),--only $(ONLY))

# AddressSanitizer does not see the kernel read. Freed memory is filled, so that clients would be
# sent nonsense from there. It knows only the system's allocator.
sanitize: export ASAN_OPTIONS := max_free_fill_size=1073741824
sanitize: ## have AddressSanitizer watch a server while random clients use it: make sanitize SECONDS=60 SEED=7
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo build -p womack --bin womack --no-default-features --features io-uring --target $(HOST) --target-dir target/sanitize
	for egress in io-uring write; do WOMACK_BIN=$(CURDIR)/target/sanitize/$(HOST)/debug/womack WOMACK_RANDOM_EGRESS=$$egress \
	$(MAKE) random TEST=a_single SECONDS=$(or $(SECONDS),60) SEED=$(SEED) || exit 1; done

attack: deps ## have hostile clients press on a server, and print what that costs: make attack LOAD=unread_ EGRESS=write
	cargo build --release -p womack
	rm -f target/attack.md
	WOMACK_BIN=$(CURDIR)/target/release/womack WOMACK_ATTACK=full WOMACK_ATTACK_TABLE=$(CURDIR)/target/attack.md $(if $(EGRESS),WOMACK_ATTACK_EGRESS=$(EGRESS)) \
	cargo test -p womack --test alone ledger::$(LOAD) -- --include-ignored --nocapture; status=$$?; cat target/attack.md; exit $$status

soak: deps ## have hostile loads, churn and faults leave nothing behind: make soak SECONDS=3600
	cargo build --release -p womack
	WOMACK_BIN=$(CURDIR)/target/release/womack WOMACK_SOAK_SECONDS=$(or $(SECONDS),3600) \
	cargo test -p womack --test alone soak:: -- --include-ignored --nocapture

deps: ## install the programs and packages that the tests drive
	for program in redis-server redis-cli chromium haproxy nginx openssl; do command -v $$program >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then $(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server redis-tools chromium haproxy nginx-light openssl; fi
	npm ci --prefix crates/womack/tests/clients --no-audit --no-fund
	npm ci --prefix clients/javascript --no-audit --no-fund
	[ -x $(VENV)/bin/python ] || python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -r crates/womack/tests/clients/requirements.txt -e 'clients/python[test]'

# What is held for clients, publishers or other nodes is a Buffer or a Charged value of
# womack-ledger. A field that is a bare growing buffer says what bounds it.
HOLDERS := crates/womack-engine/src/shard crates/womack-engine/src/router crates/womack/src/http \
	crates/womack-cluster/src crates/womack-redis/src/subscriber
BARE_BUFFER := '^ {4}(pub(\([a-z: ]+\))? )?[a-z_]+: ([A-Za-z]+<)*(Vec<u8>|BytesMut)>*,'

lint: deps ## check format, lints, documentation, licences, and the Python and load test sources
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps
	! cargo tree -p womack-proto -e normal | grep -E ' (tokio|mio|async-std|smol) v'
	! cargo tree -p womack-ledger -e normal | grep -E ' (womack|womack-(proto|redis|engine|cluster|broker)) v'
	! cargo tree -p womack-redis -e normal | grep -E ' (hyper|clap|dashmap|womack|womack-(engine|cluster)) v'
	! cargo tree -p womack-engine -e normal | grep -E ' (hyper|clap|redis|womack|womack-(redis|cluster)) v'
	! cargo tree -p womack-cluster -e normal | grep -E ' (hyper|clap|womack) v'
	! grep -rnE $(BARE_BUFFER) --include='*.rs' $(HOLDERS) | grep -vE 'Charged<|// bounded: '
	cargo check -p womack --all-targets --no-default-features
	cargo deny --all-features check bans licenses sources
	cd clients/python && ../../$(VENV)/bin/ruff check . && ../../$(VENV)/bin/ruff format --check . && ../../$(VENV)/bin/mypy
	for script in loadtest/*.js loadtest/lib/*.js; do node --check --input-type=module < $$script; done

# Its data is a repository at GitHub. A machine that does not reach it uses a copy: fetch it elsewhere
# by `cargo deny fetch db`, and put ~/.cargo/advisory-dbs there into the same place here.
advisories: ## check the dependencies for published faults, where the RustSec database can be had
	if cargo deny fetch db; then cargo deny --all-features check advisories; \
	elif ls -d $${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs/advisory-db-* >/dev/null 2>&1; \
	then cargo deny --all-features --offline check advisories; \
	else echo 'no advisories were checked: the database can be had neither from GitHub nor here'; fi

package: ## build every package as it would be published, from nothing but its own files
	folder=$$(mktemp -d) && cargo publish --workspace --dry-run --allow-dirty --target-dir $$folder; \
	status=$$?; rm -rf $$folder; exit $$status

fmt: ## format the code
	cargo fmt --all
	cd clients/python && ../../$(VENV)/bin/ruff format .

bench: ## measure single steps
	cargo bench -p womack-benches --bench proto --bench delivery

counts: ## count the instructions of single steps
	command -v valgrind >/dev/null || { $(INSTALL) valgrind; }
	cargo bench -p womack-benches --bench counts

fanout: $(addprefix peer-,$(subst $(comma), ,$(PEERS))) ## measure whole servers: make fanout PEERS=nats,uwebsockets ARGS='--workloads W1,W2'; or judge a build: make fanout OLD=main NEW=womack
	cargo build --release -p womack -p womack-benches
	target/release/fanout $(if $(PEERS),--servers womack$(comma)floor$(comma)floor-batch$(comma)$(PEERS)) $(if $(OLD),--old '$(OLD)') $(if $(NEW),--womack '$(NEW)') $(ARGS)

proof: peer-uwebsockets peer-socketioxide peer-nats peer-nchan peer-socketio ## measure all that the README claims, and draw its plots
	cargo build --release -p womack -p womack-benches
	target/release/fanout --proof --json target/proof.json --plot benches/plots
	$(MAKE) counts

peer-uwebsockets:
	command -v g++ >/dev/null || { $(INSTALL) g++; }
	$(MAKE) -C benches/peers/uwebsockets

peer-socketioxide:
	cargo build --release -p womack-benches --features peers --bin peer-socketioxide

peer-nats:
	command -v nats-server >/dev/null || { $(INSTALL) nats-server; }

peer-nchan:
	[ -e $(NCHAN) ] || { $(INSTALL) nginx-light libnginx-mod-nchan; }

peer-socketio peer-socketio-adapter:
	npm install --no-package-lock --no-audit --no-fund --prefix benches/peers/socketio

loadtest: deps ## run the k6 scripts against a running server: make loadtest URL=http://localhost:8111 ARGS='--short'
	$(VENV)/bin/python loadtest/run.py $(if $(URL),--url $(URL)) $(if $(REDIS),--redis-url $(REDIS)) $(ARGS)

fuzz: ## fuzz each decoder with the installed toolchain: make fuzz FUZZ_SECONDS=600
	command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
	for crate in womack-proto womack-broker womack-redis; do (cd crates/$$crate && for target in $$(cargo fuzz list); \
	do found=fuzz/target/corpus/$$target; mkdir -p $$found; RUSTC_BOOTSTRAP=1 cargo fuzz run $$target $$found \
	tests/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) || exit 1; done) || exit 1; done

versions: ## test nodes of version 0.2.0 and of this one side by side
	[ -d target/0.2.0 ] || { mkdir -p target/0.2.0 && git archive $(RELEASE_0_2_0) | tar -x -C target/0.2.0; }
	cd target/0.2.0 && cargo build -p womack --bin womack --target-dir target
	WOMACK_0_2_0=$(CURDIR)/target/0.2.0/target/debug/womack cargo test -p womack --test it relay_versions:: -- --include-ignored
