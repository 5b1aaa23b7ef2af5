TESTS += tests/system/relay.py
EXTRA_DIST += tests/system/relay.py tests/lib/world.py
