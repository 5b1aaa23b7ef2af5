TESTS += tests/system/directory.py tests/system/picture.py tests/system/states.py tests/system/groups.py \
	tests/system/servers.py tests/system/outages.py tests/system/vacation.py tests/system/lists.py
EXTRA_DIST += tests/system/outages.py tests/system/vacation.py tests/system/lists.py tests/system/servers.py tests/system/states.py tests/system/groups.py tests/system/directory.py tests/system/picture.py tests/lib/directory.py tests/lib/listener.py tests/lib/slowproxy.py
