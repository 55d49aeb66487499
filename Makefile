# SPDX-License-Identifier: Apache-2.0
# A thin front for meson and ninja: `make help` lists the targets. CC=clang and
# SAN=address,undefined (or SAN=thread) build in folders of their own.

comma := ,
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
BUILD ?= build$(if $(filter-out gcc cc,$(notdir $(CC))),-$(notdir $(CC)))$(if $(SAN),-$(subst $(comma),-,$(SAN)))
JOBS ?= $(shell nproc)
OPTIONS ?=

.PHONY: all run test test-kvm unit guest scenario bench bench-disk bench-net soak soak-disk lint format install fuzz clean help
all: $(BUILD)/build.ninja
	@ls tests/unit tests/guest/* tests/fuzz >$(BUILD)/files.new; \
	cmp -s $(BUILD)/files.new $(BUILD)/files.list || \
		{ meson setup --reconfigure $(BUILD) >/dev/null && mv $(BUILD)/files.new $(BUILD)/files.list; }
	@ninja -C $(BUILD) -j$(JOBS) --quiet

$(BUILD)/build.ninja:
	CC=$(CC) meson setup $(BUILD) $(if $(SAN),-Db_sanitize=$(SAN) -Db_lundef=false) $(OPTIONS)
	@ls tests/unit tests/guest/* tests/fuzz >$(BUILD)/files.list

help:
	@echo 'make            build the programs into $(BUILD)/bin'
	@echo 'make run        boot a full Debian 12 (./run)'
	@echo 'make test       everything that is tested in under fifteen minutes (./test)'
	@echo 'make unit       unit tests alone'
	@echo 'make guest      boots and commands inside; CASES=... for some'
	@echo 'make test-kvm   guests on KVM; where there is none, in a host that QEMU translates'
	@echo 'make scenario   what the command line does; CASES=... for some'
	@echo 'make bench      figures beside those of QEMU in the same run'
	@echo 'make bench-disk a guest on its disk beside QEMU, disk convert beside qemu-img'
	@echo '                RIG=1: on KVM beside QEMU on KVM, in a host that QEMU translates'
	@echo 'make bench-net  TCP with the host beside QEMU, on a tap and behind the address translator'
	@echo 'make soak-disk  a million power cuts under disk images; STATES=..., SEED=...'
	@echo 'make soak       hours of random instruction blocks; SYSTEM=N: cases of system state;'
	@echo '                HOTPLUG=N: rounds of disks that come and leave beside fio;'
	@echo '                BALLOON=N: a guest gives memory back under load and takes it again;'
	@echo '                FUZZ=MINUTES: each fuzz target; KILLS=N: writers of disks that are killed;'
	@echo '                DEBIAN=N: the worker under a full Debian killed N times;'
	@echo '                LOCKSTEP=1: whole boots, an interpreter beside the translator;'
	@echo '                STRESS=MINUTES: stress-ng --verify in a guest of two processors'
	@echo 'make lint       layers, names, sizes, format'
	@echo 'make format     let clang-format decide'
	@echo 'make fuzz T=... one fuzz target'
	@echo 'make install    below DESTDIR and the configured prefix'
	@echo 'SAN=address,undefined or SAN=thread: with sanitizers; CC=clang: the other compiler'

run:
	./run

test:
	./test

unit: all
	@tests/tools/run-unit $(BUILD)

lint:
	@tests/tools/lint

format:
	@git ls-files -co --exclude-standard 'src/*.[ch]' 'tests/*.[ch]' | \
		xargs $(shell command -v clang-format-14 || echo clang-format) -i

# One stage of ./test alone: make guest, make scenario; CASES=... for some of them.
guest scenario: all
	@guests/make-demo
	@TIMES=1 tests/tools/run-cases $(BUILD) $(or $(CASES),tests/$@/*.sh)

test-kvm: all
	@tests/tools/install-missing guest kvm || true
	@guests/make-demo
	@TIMES=1 tests/tools/test-kvm $(BUILD)

# ROWS="fib icall" ROUNDS=3 SCALE=4 ENGINE=soft WHO="native ours": tests/bench/rows.
bench:
	@tests/tools/install-missing build guest bench
	@$(MAKE) -s all
	@[ -x $(BUILD)/tests/bench/program/guest-bench ] || \
		{ meson setup --reconfigure $(BUILD) >/dev/null && ninja -C $(BUILD) --quiet; }
	@tests/bench/bench $(BUILD)

soak-disk: all
	@$(BUILD)/tests/crash/disk-crash --states $(or $(STATES),1000000) --seed $(or $(SEED),$(shell date -u +%Y%m%d))

# ROWS="read4k write1m" ROUNDS=3 SCALE=4 ENGINE=soft WHO="qemu ours" RIG=1: tests/bench/disk-rows.
bench-disk: all
	@tests/tools/install-missing build guest test bench $(if $(RIG),kvm)
	@tests/bench/disk-rows $(BUILD)
	@$(if $(RIG),:,tests/bench/disk-convert $(BUILD) $(ROUNDS))

bench-net: all
	@tests/tools/install-missing build guest test bench
	@tests/bench/net-rows $(BUILD)

# HOTPLUG, BALLOON, FUZZ, KILLS, DEBIAN, LOCKSTEP, STRESS or SYSTEM say which.
soak: $(firstword $(if $(HOTPLUG),soak-hotplug) $(if $(BALLOON),soak-balloon) $(if $(FUZZ),soak-fuzz) $(if $(KILLS),soak-kills) \
	$(if $(DEBIAN),soak-debian) $(if $(LOCKSTEP),soak-lockstep) $(if $(STRESS),soak-stress) soak-blocks)

# Each fuzz target for FUZZ minutes with sanitizers; T="NAME NAME" for some.
.PHONY: soak-fuzz soak-kills soak-debian soak-blocks soak-lockstep soak-stress soak-hotplug soak-balloon
soak-fuzz:
	@$(MAKE) -s SAN=address,undefined
	@tests/soak/soak-fuzz build-address-undefined $(FUZZ) $(or $(SEED),$(shell date -u +%Y%m%d)) $(T)

soak-hotplug: all
	@tests/tools/install-missing guest test
	@tests/soak/hotplug $(BUILD) $(HOTPLUG)

soak-balloon: all
	@tests/tools/install-missing guest test
	@tests/soak/balloon $(BUILD) $(BALLOON)

soak-lockstep: all
	@tests/soak/lockstep $(BUILD)

soak-stress: all
	@tests/tools/install-missing guest debian
	@tests/soak/stress $(BUILD) $(STRESS)

# The writer of a disk is killed KILLS times on each of four images.
soak-kills: SEED ?= $(shell date -u +%Y%m%d)
soak-kills: all
	@tests/tools/install-missing build test
	@tests/soak/disk-kill $(BUILD) $(KILLS) $(SEED) tests/soak/results/$(shell date -u +%Y-%m-%d)-disk-kill-$(SEED).txt

soak-debian: all
	@tests/tools/install-missing debian test
	@tests/soak/debian-kill $(BUILD) $(DEBIAN) $(SEED)

soak-blocks: all
	@$(if $(SYSTEM),tests/soak/system/soak-system $(BUILD) $(SYSTEM),tests/soak/soak $(BUILD) $(BLOCKS)) $(SEED)

# make fuzz T=NAME [SECONDS=60]: build/tests/fuzz/fuzz-NAME, with sanitizers.
SECONDS ?= 60
fuzz:
	@[ -n "$(T)" ] || { echo 'make fuzz T=NAME, NAME one of:'; ls tests/fuzz/*.c | sed 's|.*/||; s|\.c$$||'; exit 2; }
	@$(MAKE) -s SAN=address,undefined
	@build-address-undefined/tests/fuzz/fuzz-$(T) --seconds $(SECONDS) $(FUZZ)

install: all
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-*
