TESTS += tests/system/relay.py tests/system/relay_world.py tests/system/relay_ways.py tests/system/relay_sts.py tests/system/interop.py
EXTRA_DIST += tests/system/relay.py tests/lib/world.py tests/lib/netns.py tests/lib/nameserver.py tests/system/relay_world.py tests/system/relay_ways.py tests/system/relay_sts.py tests/system/interop.py tests/lib/peers.py
