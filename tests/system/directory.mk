TESTS += tests/system/directory.py tests/system/picture.py tests/system/states.py tests/system/groups.py \
	tests/system/servers.py
EXTRA_DIST += tests/system/servers.py tests/system/states.py tests/system/groups.py tests/system/directory.py tests/system/picture.py tests/lib/directory.py tests/lib/slowproxy.py
