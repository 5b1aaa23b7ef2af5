check_PROGRAMS += store-tool
store_tool_SOURCES = tests/unit/store_tool.c
store_tool_LDADD = $(STORE_LIBS)

if HAVE_CUNIT
check_PROGRAMS += unit-store-formats.t unit-store-files.t unit-store-mailbox.t unit-store-index.t \
	unit-store-folders.t unit-store-many.t unit-store-clock.t
TESTS += unit-store-formats.t unit-store-files.t unit-store-mailbox.t unit-store-index.t \
	unit-store-folders.t unit-store-many.t unit-store-clock.t
STORE_FIXTURE = tests/unit/store_fixture.c tests/unit/store_fixture.h
unit_store_formats_t_SOURCES = tests/unit/test_store_formats.c $(STORE_FIXTURE)
unit_store_formats_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
unit_store_files_t_SOURCES = tests/unit/test_store_files.c $(STORE_FIXTURE)
unit_store_files_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
unit_store_index_t_SOURCES = tests/unit/test_store_index.c $(STORE_FIXTURE)
unit_store_index_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
unit_store_mailbox_t_SOURCES = tests/unit/test_store_mailbox.c $(STORE_FIXTURE)
unit_store_mailbox_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
unit_store_folders_t_SOURCES = tests/unit/test_store_folders.c $(STORE_FIXTURE)
unit_store_folders_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
unit_store_many_t_SOURCES = tests/unit/test_store_many.c $(STORE_FIXTURE)
unit_store_many_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
unit_store_clock_t_SOURCES = tests/unit/test_store_clock.c $(STORE_FIXTURE)
unit_store_clock_t_LDADD = $(UNIT_LIBS) $(STORE_LIBS)
endif
