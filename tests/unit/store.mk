check_PROGRAMS += store-tool
store_tool_SOURCES = tests/unit/store_tool.c
store_tool_LDADD = libstore.a $(BASE_LIBS)
