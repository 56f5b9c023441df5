# Every command of the project. `make run` and `make test` work from a fresh clone.

BIN := .venv/bin
EXAMPLES ?= 20000
ROUNDS ?= 7
# Recipes take these from the shell's environment, where a space or a $ in them is only a character.
export PORT HOST WEB_WORKERS GATEWAY_PORT GATEWAY_GRPC_PORT GATEWAY_WORKERS PYTHON SUITES SERVERS TESTS

.PHONY: run web gateway worker beat traffic test proto fuzz mutants faults bench bench-usage bench-admin matrix stores h2spec containers newcomer screenshots audit clean

run: .venv/run.stamp
	@exec $(BIN)/python -m ratelimit_platform.running

web: .venv/run.stamp
	@$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	@exec $(BIN)/python -m ratelimit_platform.web

gateway: .venv/run.stamp
	@exec $(BIN)/python -m ratelimit_platform.gateway

worker: .venv/run.stamp
	@exec $(BIN)/python -m celery --quiet -A ratelimit_platform worker --concurrency 2 --loglevel warning --without-gossip --without-mingle

beat: .venv/run.stamp
	@exec $(BIN)/python -m celery --quiet -A ratelimit_platform beat --loglevel warning

traffic: .venv/run.stamp
	@$(BIN)/python manage.py play_traffic

test: .venv/test.stamp
	@bash tests/run_all.sh

proto: .venv/test.stamp
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. gateway/proto/*.proto

fuzz: .venv/test.stamp
	@FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/store tests/api/test_any_body.py tests/configfile/test_any_document.py \
		tests/gateway/http1/test_any_bytes.py tests/gateway/http2/test_any_bytes.py tests/gateway/rls/test_any_descriptors.py \
		tests/admin/test_every_address.py -q

mutants: .venv/test.stamp
	@$(BIN)/python -m tests.mutants

faults: .venv/test.stamp
	@$(BIN)/python -m tests.faults

bench: .venv/test.stamp
	@$(BIN)/python -m benchmarks $(PART) --rounds $(ROUNDS)

matrix: .venv/test.stamp
	@$(BIN)/python -m tests.package

containers: .venv/test.stamp
	@$(BIN)/python -m tests.containers

stores: .venv/test.stamp
	@$(BIN)/python -m tests.stores

h2spec: .venv/test.stamp
	@$(BIN)/python -m tests.h2spec

newcomer: .venv/test.stamp
	@$(BIN)/python -m tests.newcomer

bench-usage: .venv/test.stamp
	@$(BIN)/python -m benchmarks.usage

bench-admin: .venv/test.stamp
	@$(BIN)/python -m benchmarks.admin

screenshots: .venv/test.stamp
	@$(BIN)/python -m tests.screenshots

audit: .venv/test.stamp
	@$(BIN)/python -m pip_audit --requirement requirements.txt

clean:
	rm -rf .venv .data

.venv/run.stamp: requirements.txt
	@bash ratelimit_platform/running/install.sh requirements.txt
	@touch $@

.venv/test.stamp: requirements.txt requirements-dev.txt
	@bash ratelimit_platform/running/install.sh requirements-dev.txt
	@touch .venv/run.stamp $@
