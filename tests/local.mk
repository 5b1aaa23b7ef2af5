# Unit tests: one CUnit program a room; each lists itself in tests/unit/local.mk.
include tests/unit/local.mk
include tests/system/local.mk
include tests/system/mail.mk
include tests/fuzz/local.mk
include tests/lib/ipc/local.mk
include tests/lib/fakes/local.mk
EXTRA_DIST += tests/rfc-index
include tests/bench/local.mk
include tests/fault/local.mk
