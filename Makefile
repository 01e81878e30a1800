# vxn-runc: programs, guest, tests. `make help` lists the targets.
#
# Which sources belong to which program follows from their names, so a new file needs no change here:
# a program's own files are named below, every other file of its folder goes into the folder's library,
# from which the linker takes what is used.

VERSION = 0.1.0

# Where everything is built; a second build of the same tree beside the first gives another one.
BUILD ?= build

PREFIX ?= /usr
BINDIR = $(PREFIX)/bin
LIBEXECDIR = $(PREFIX)/libexec/vxn
LIBDIR = $(PREFIX)/lib/vxn
MANDIR = $(PREFIX)/share/man

CFLAGS ?= -O2 -g
ifneq ($(filter true 1,$(CI) $(WERROR)),)
WERROR_FLAG = -Werror
endif
WARNINGS = -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wshadow -Wvla $(WERROR_FLAG)
# _GNU_SOURCE is empty so that a file may define it as well.
DEFINES = -D_GNU_SOURCE= -D_FILE_OFFSET_BITS=64 -DVXN_VERSION='"$(VERSION)"' \
	-DVXN_LIBEXECDIR='"$(LIBEXECDIR)"' -DVXN_LIBDIR='"$(LIBDIR)"'
# -iquote: spec/error.h must not hide the C library's <error.h>.
BASE_FLAGS = -std=gnu17 $(WARNINGS) $(DEFINES) -iquote . -iquote spec -pthread -I/usr/include/fuse3
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
HARDENING_LINK = -pie -Wl,-z,relro,-z,now,-z,noexecstack
# Functions that a static program does not call are left out of it.
SECTIONS = -ffunction-sections -fdata-sections

# Each program gets what it calls of these and no more: --as-needed.
HOST_LIBS = -Wl,--as-needed -lxenlight -lxenvchan -lxenstore -lxentoollog -lfuse3 -lseccomp -lcap -lmount -lmnl -lsystemd -lyajl -luuid
GUEST_LIBS = -lxenvchan -lxengnttab -lxenevtchn -lxenstore -lxentoolcore -lxentoollog -lyajl_s -lcap -lseccomp

# V=1 shows the commands, -s nothing at all.
say = $(if $(V),,@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,echo '  $@'; ))

# $(call objects,SOURCES): their object files
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

SPEC = $(wildcard spec/*.c)
RUNC_OWN = runtime/main.c $(wildcard runtime/verb_*.c)
MONITOR_OWN = runtime/monitor.c
IO_OWN = runtime/io.c
RUNTIME = $(filter-out $(RUNC_OWN) $(MONITOR_OWN) $(IO_OWN),$(wildcard runtime/*.c))
LAUNCH = $(wildcard shim/launch*.c)
STANDIN = $(wildcard shim/standin*.c)
GUEST_OWN = guest/init.c
GUEST = $(filter-out $(GUEST_OWN),$(wildcard guest/*.c))

HOST_PROGRAMS = $(BUILD)/vxn-runc $(BUILD)/vxn-monitor $(BUILD)/vxn-io $(BUILD)/vxn-launch $(BUILD)/vxn-standin
INITRAMFS = $(BUILD)/initramfs.cpio
MAN_PAGES = $(patsubst man/%.scd,$(BUILD)/man/%,$(wildcard man/*.scd))

all: $(HOST_PROGRAMS) $(BUILD)/vmlinux $(INITRAMFS) $(MAN_PAGES)

# Objects depend on how they are compiled, too.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(BASE_FLAGS) $(CFLAGS) $(HARDENING) $(SECTIONS)' >$@.new
	@cmp -s $@.new $@ || mv $@.new $@
	@rm -f $@.new

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(BASE_FLAGS) $(SECTIONS) $(CFLAGS) $(HARDENING) -MMD -MP -c -o $@ $<

# An archive is made anew: a member whose source is gone must go.
$(BUILD)/lib%.a:
	@rm -f $@
	$(say)$(AR) rcsD $@ $^

$(BUILD)/libspec.a: $(call objects,$(SPEC))
$(BUILD)/libruntime.a: $(call objects,$(RUNTIME))
$(BUILD)/libguest.a: $(call objects,$(GUEST))

$(BUILD)/vxn-runc: $(call objects,$(RUNC_OWN)) $(BUILD)/libruntime.a $(BUILD)/libspec.a
$(BUILD)/vxn-monitor: $(call objects,$(MONITOR_OWN)) $(BUILD)/libruntime.a $(BUILD)/libspec.a
$(BUILD)/vxn-io: $(call objects,$(IO_OWN)) $(BUILD)/libruntime.a $(BUILD)/libspec.a
$(BUILD)/vxn-launch: $(call objects,$(LAUNCH)) $(BUILD)/libspec.a
$(BUILD)/vxn-runc $(BUILD)/vxn-monitor $(BUILD)/vxn-io $(BUILD)/vxn-launch:
	$(say)$(CC) $(CFLAGS) $(HARDENING_LINK) $(LDFLAGS) -Wl,--gc-sections -pthread -o $@ $^ $(HOST_LIBS)

# One of these lives as long as each container process, so it is a page of code without a C library: what
# the compiler would call or set up behind its back is switched off.
$(call objects,$(STANDIN)): HARDENING = -ffreestanding -fno-stack-protector -fno-pie -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -Os
$(BUILD)/vxn-standin: $(call objects,$(STANDIN))
	$(say)$(CC) -static -nostdlib -no-pie $(LDFLAGS) -Wl,--gc-sections,-z,noexecstack,-z,noseparate-code,--build-id=none -s -o $@ $^

$(BUILD)/vxn-init: $(call objects,$(GUEST_OWN)) $(BUILD)/libguest.a $(BUILD)/libspec.a
	$(say)$(CC) $(CFLAGS) -static $(LDFLAGS) -Wl,--gc-sections,-z,noexecstack -pthread -o $@ $^ $(GUEST_LIBS)

# /init alone: the kernel brings /dev/console in an archive of its own. The same program gives the same file.
$(BUILD)/initramfs.cpio: $(BUILD)/vxn-init
	@rm -rf $(BUILD)/initramfs && mkdir -p $(BUILD)/initramfs
	$(say)strip -s -o $(BUILD)/initramfs/init $<
	@touch -d @0 $(BUILD)/initramfs/init
	@cd $(BUILD)/initramfs && echo init | cpio --quiet --reproducible -o -H newc -R 0:0 >../initramfs.new
	@mv $(BUILD)/initramfs.new $@

$(BUILD)/vmlinux: guest/build-kernel guest/kernel.fragment $(wildcard guest/kernel-*.patch)
	guest/build-kernel $@
	@touch $@

$(BUILD)/man/%: man/%.scd
	@mkdir -p $(@D)
	scdoc <$< >$@

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(LIBDIR) $(DESTDIR)$(MANDIR)/man8
	install -m 755 $(BUILD)/vxn-runc $(DESTDIR)$(BINDIR)/
	install -m 755 $(filter-out %/vxn-runc,$(HOST_PROGRAMS)) $(DESTDIR)$(LIBEXECDIR)/
	install -m 644 $(BUILD)/vmlinux $(INITRAMFS) $(DESTDIR)$(LIBDIR)/
	install -m 644 $(MAN_PAGES) $(DESTDIR)$(MANDIR)/man8/

# Everything that is pure is tested with the sanitizers, so all of it is compiled a second time.
SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1 -g
san_objects = $(patsubst %.c,$(BUILD)/sanitized/%.o,$(1))
UNIT_TESTS = $(patsubst %.c,$(BUILD)/sanitized/%,$(wildcard conformance/unit/test_*.c))

$(BUILD)/sanitized/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(say)$(CC) $(BASE_FLAGS) $(SANITIZE) -MMD -MP -c -o $@ $<
$(BUILD)/sanitized/conformance/%.o: BASE_FLAGS += -iquote runtime -iquote shim -iquote guest

$(BUILD)/sanitized/lib%.a:
	@rm -f $@
	$(say)$(AR) rcsD $@ $^

$(BUILD)/sanitized/libspec.a: $(call san_objects,$(SPEC))
$(BUILD)/sanitized/libruntime.a: $(call san_objects,$(RUNTIME))
$(BUILD)/sanitized/libguest.a: $(call san_objects,$(GUEST))
SAN_LIBS = $(BUILD)/sanitized/libruntime.a $(BUILD)/sanitized/libguest.a $(BUILD)/sanitized/libspec.a

$(UNIT_TESTS): %: %.o $(SAN_LIBS)
	$(say)$(CC) $(SANITIZE) -pthread -o $@ $^ $(HOST_LIBS) -lcmocka

check-unit: $(UNIT_TESTS)
	@conformance/unit/run $(UNIT_TESTS)

# Only clang has libFuzzer; its warnings are not those that the code is written for.
FUZZ_CC = clang
FUZZ = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1 -g
FUZZERS = $(patsubst conformance/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard conformance/fuzz/fuzz_*.c))
fuzz_objects = $(patsubst %.c,$(BUILD)/fuzz/%.o,$(1))

$(BUILD)/fuzz/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(say)$(FUZZ_CC) $(filter-out $(WARNINGS),$(BASE_FLAGS)) $(FUZZ) -MMD -MP -c -o $@ $<
$(BUILD)/fuzz/conformance/%.o: BASE_FLAGS += -iquote conformance/fuzz
$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/conformance/fuzz/%.o $(call fuzz_objects,$(SPEC))
	$(say)$(FUZZ_CC) $(FUZZ) -fsanitize=fuzzer -pthread -o $@ $^ $(HOST_LIBS)

fuzz-programs: $(FUZZERS)

# At length: half an hour for each target. TARGETS="config wire" for some of them.
fuzz: fuzz-programs
	conformance/fuzz/run --seconds 1800 $(TARGETS)

# What goes into the box for the end-to-end tests and the benchmark: the tests, and the programs that they run
# as pid 1 of a VM in place of vxn-init.
E2E_INITS = $(patsubst conformance/e2e/%.c,$(BUILD)/e2e/%,$(wildcard conformance/e2e/init_*.c))

$(BUILD)/e2e/init_hostile: $(BUILD)/conformance/e2e/hostile_memory.o
$(E2E_INITS): $(BUILD)/e2e/%: $(BUILD)/conformance/e2e/%.o $(BUILD)/libguest.a $(BUILD)/libspec.a
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS) -static $(LDFLAGS) -s -Wl,--gc-sections,-z,noexecstack -pthread -o $@ $(filter %.o,$^) $(filter %.a,$^) $(GUEST_LIBS)

# Run in containers and on the host.
E2E_INSIDE = $(patsubst conformance/e2e/%.c,$(BUILD)/e2e/%,$(wildcard conformance/e2e/inside_*.c))

$(E2E_INSIDE): $(BUILD)/e2e/%: $(BUILD)/conformance/e2e/%.o
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS) -static $(LDFLAGS) -s -pthread -o $@ $^

# Runs on the host, against a back end alone.
$(BUILD)/e2e/host_vm: $(BUILD)/conformance/e2e/host_vm.o $(BUILD)/libruntime.a $(BUILD)/libspec.a
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS) $(HARDENING_LINK) $(LDFLAGS) -Wl,--gc-sections -pthread -o $@ $^ $(HOST_LIBS)

# Runs on the host and in containers, which have nothing else.
$(BUILD)/e2e/filesem: $(call objects,$(wildcard conformance/files/*.c))
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS) -static $(LDFLAGS) -s -pthread -o $@ $^

e2e: $(E2E_INITS) $(E2E_INSIDE) $(BUILD)/e2e/host_vm $(BUILD)/e2e/filesem
	@mkdir -p $(BUILD)/e2e
	@cp -p conformance/e2e/*.py conformance/e2e/run $(BUILD)/e2e/

# Containers one after another, on this machine with QEMU: nothing may be left.
CYCLES ?= 200
soak: all
	conformance/e2e/native --only one_after_another --cycles $(CYCLES)

check:
	conformance/check --sample

check-quick:
	conformance/check --quick

check-full:
	conformance/check --full

demo:
	conformance/demo

deps:
	conformance/install-packages

$(BUILD)/bench/config_parse: $(BUILD)/conformance/bench/config_parse.o $(BUILD)/libspec.a
	@mkdir -p $(@D)
	$(say)$(CC) $(CFLAGS) $(HARDENING_LINK) $(LDFLAGS) -Wl,--gc-sections -o $@ $^ $(HOST_LIBS)

bench-config-programs: $(BUILD)/bench/config_parse
	@cp -p conformance/bench/config conformance/bench/machine.py $(BUILD)/bench/

# OCI runtime-tools: their programs, and how they are run.
validation:
	@conformance/validation/build $(BUILD)/validation
	@cp -p conformance/validation/run conformance/validation/notes $(BUILD)/validation/

# For `conformance/bench`: an init that does nothing, one that measures files, and the kernel for those.
BENCH_INITS = $(BUILD)/bench/init $(BUILD)/bench/filebench

$(BENCH_INITS): $(BUILD)/bench/%: conformance/bench/%.c
	@mkdir -p $(@D)
	$(say)$(CC) -std=gnu17 $(WARNINGS) $(DEFINES) $(CFLAGS) -static -s -o $@ $<

$(BUILD)/bench/initramfs.cpio: $(BUILD)/bench/init
$(BUILD)/bench/filebench.cpio: $(BUILD)/bench/filebench
$(BUILD)/bench/%.cpio:
	@rm -rf $@.root && mkdir -p $@.root && cp $< $@.root/init
	cd $@.root && echo init | cpio --quiet --reproducible -o -H newc -R 0:0 >../$(@F).new
	mv $@.new $@

$(BUILD)/bench/vmlinux: guest/build-kernel guest/kernel.fragment $(wildcard guest/kernel-*.patch) conformance/bench/kernel.fragment
	@rm -rf $(BUILD)/bench/kernel && mkdir -p $(BUILD)/bench/kernel
	cp guest/build-kernel guest/kernel-*.patch $(BUILD)/bench/kernel/
	cat guest/kernel.fragment conformance/bench/kernel.fragment >$(BUILD)/bench/kernel/kernel.fragment
	MAKEFLAGS= $(BUILD)/bench/kernel/build-kernel $@
	@touch $@

bench-programs: $(BUILD)/bench/initramfs.cpio
	@cp -p conformance/bench/run conformance/bench/machine.py $(BUILD)/bench/

bench-files-programs: bench-programs $(BUILD)/bench/filebench.cpio $(BUILD)/bench/vmlinux
	@cp -p conformance/bench/files $(BUILD)/bench/

C_FILES = $(wildcard spec/*.[ch] runtime/*.[ch] shim/*.[ch] guest/*.[ch] conformance/unit/*.[ch]) $(wildcard conformance/e2e/*.c conformance/files/*.[ch])

format:
	clang-format -i $(C_FILES)

# All three are run, whatever the first ones find.
lint:
	@status=0; for tool in lint-format lint-tidy lint-cppcheck; do $(MAKE) --no-print-directory $$tool || status=1; done; exit $$status

lint-format:
	clang-format --dry-run -Werror $(C_FILES)

lint-tidy:
	clang-tidy --quiet --warnings-as-errors='*' $(filter %.c,$(C_FILES)) -- $(BASE_FLAGS) -iquote runtime -iquote shim -iquote guest

lint-cppcheck:
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=ctuuninitvar -D__x86_64__ $(DEFINES) -I . -I spec -I runtime -I shim -I guest $(filter %.c,$(C_FILES))

# Test boxes that run are ended first: their files are below build, too.
clean:
	@for box in $(wildcard build/box*); do VXN_BOX_DIR=$(CURDIR)/$$box conformance/box stop; done
	rm -rf $(BUILD)

help:
	@echo 'make              programs, guest kernel and initramfs, man pages, in $(BUILD)/'
	@echo 'make deps         installs the Debian packages that all targets need (root)'
	@echo 'make install      DESTDIR= PREFIX=/usr'
	@echo 'make demo         podman runs an image in a virtual machine'
	@echo 'make check-quick  unit tests and the basics'
	@echo 'make check        everything, the long parts sampled'
	@echo 'make check-full   everything'
	@echo 'make soak         200 containers one after another (CYCLES=)'
	@echo 'make check-unit   the unit tests alone'
	@echo 'make fuzz         the parsers of foreign bytes, half an hour each'
	@echo 'make lint         clang-format, clang-tidy, cppcheck'
	@echo 'make format       formats the C sources'
	@echo 'make clean'

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/sanitized/*/*.d $(BUILD)/sanitized/*/*/*.d)

.PHONY: all install bench-programs bench-config-programs bench-files-programs check-unit check check-quick check-full soak fuzz fuzz-programs e2e validation demo deps format lint lint-format lint-tidy lint-cppcheck clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:
