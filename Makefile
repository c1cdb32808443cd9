# What there is to do with this repository; `make` alone lists it. Everything is installed below this folder.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

pnpm_version := 12.21.0
pnpm := .tools/.pnpm-$(pnpm_version)
modules := node_modules/.installed

# Bare names of tools below (tsc, biome, vitest, node …) are the repository's own.
export PATH := $(CURDIR)/node_modules/.bin:$(CURDIR)/.tools/node_modules/.bin:$(PATH)

.PHONY: help run test chaos bench bench-transcode build generate contract lint fmt dev dev-stop logs docker-build docker-run docker-up docker-logs clean \
  check-machine-run check-machine-test check-machine-chaos check-machine-bench check-machine-dev check-compose

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 26

run: check-machine-run build ## Build what changed and start the gateway with everything in one process; ARGS="--set key=value" for serve
	@exec bin/im-gateway serve $(ARGS)

test: check-machine-test $(modules) ## Check, build and test everything, on a real Kafka and a real etcd; TESTS="path …" for some files only
	@node tools/src/install-parts.ts
	@node tools/src/check-generated.ts
	@$(config_documents) --check
	@$(lint)
	@tsc -b
	@tsc -p tsconfig.test.json
	@exec vitest run $(TESTS)

chaos: check-machine-chaos build ## Break Kafka, im-logic, etcd, gateways and sockets and account for every message; ARGS="--short name …", ARGS=--help
	@$(call parts,kafka etcd)
	@exec node --disable-warning=TimeoutNegativeWarning chaos/src/main.ts $(ARGS)

bench: check-machine-bench build ## Measure the CPU time of the gateway against a plain server's; ARGS="--runs 5", ARGS=--help
	@$(call parts,kafka)
	@exec node --disable-warning=TimeoutNegativeWarning bench/src/main.ts $(ARGS)

# What is to be fetched before ARGS are obeyed: nothing for who only asks what they are.
parts = $(if $(filter --help -h,$(ARGS)),true,node tools/src/install-parts.ts $(1))

bench-transcode: build ## Measure REST requests on their way to Protobuf against protobuf-es alone; ARGS="--pairs 300"
	@exec node bench/src/transcode.ts $(ARGS)

build: $(modules) ## Compile what changed
	@tsc -b

generate: $(modules) ## Generate code, documents and reference pages from the .proto files, and documents from the configuration's schema
	@buf generate proto --template proto/buf.gen.yaml
	@$(config_documents)

config_documents = node --conditions=@im-gateway/source packages/adapters/src/documents/write-documents.ts

lint: $(modules) ## Check style, contract and import directions
	@$(lint)

lint = biome ci --error-on-warnings $(if $(MAKE_TERMOUT),,--colors=off) . && buf lint proto && $(contract_checks) && node tools/src/check-imports.ts

contract_checks = buf breaking proto --against proto/contract.binpb && \
  node --conditions=@im-gateway/source packages/protoc-gen-im/src/breaking/check-contract.ts

.PHONY: contract
contract: $(modules) ## Take the .proto files as they are for what later changes must not break
	@buf build proto --exclude-source-info --output proto/contract.binpb

fmt: $(modules) ## Format, and fix what can be fixed
	@biome check --write .

dev: check-machine-dev build ## Start Kafka, etcd and im-logic in the background, for gateways that you start by hand
	@node tools/src/dev.ts start

dev-stop: $(modules) ## Stop what make dev or make docker-up started; the data stays
	@node tools/src/dev.ts stop

logs: $(modules) ## Follow the logs of what make dev started
	@exec node tools/src/dev.ts logs

docker-build: ## Build the image im-gateway
	@docker build --tag im-gateway .

docker-run: docker-build ## Run the image with everything in one process, as make run does
	@exec docker run --rm --init --name im-gateway --publish 8080:8080 --publish 9090:9090 im-gateway

docker-up: check-compose ## Start Kafka, etcd, im-logic and two gateways by Docker compose; make dev-stop ends them
	@docker compose up --detach --build --wait

docker-logs: check-compose ## Follow the logs of make docker-up
	@exec docker compose logs --follow

check-compose:
	@docker compose version >/dev/null 2>&1 || { echo "Docker with its compose plugin is needed: https://docs.docker.com/compose/install" >&2; exit 1; }

clean: ## Remove what was built; what was installed stays
	@rm -rf proto/dist packages/*/dist

check-machine-run check-machine-test check-machine-chaos check-machine-bench check-machine-dev: check-machine-%:
	@tools/check-machine.sh $*

# The stamps are written last: what was interrupted is done again.
$(pnpm): | check-machine-run
	@echo "Installing pnpm $(pnpm_version) …"
	@npm install --prefix .tools --no-save --no-package-lock --no-audit --no-fund --no-update-notifier --loglevel=error pnpm@$(pnpm_version)
	@touch $@

$(modules): $(pnpm) pnpm-lock.yaml pnpm-workspace.yaml package.json $(wildcard */package.json packages/*/package.json)
	@echo "Installing dependencies …"
	@pnpm install --frozen-lockfile --reporter=append-only --loglevel=warn
	@touch $@
