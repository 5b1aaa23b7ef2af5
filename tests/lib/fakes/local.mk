# The world around one smtp program, for its dialogues.
check_PROGRAMS += fakeworld
fakeworld_SOURCES = %reldir%/fakeworld.c
fakeworld_LDADD = $(TESTMASTER_LIBS)
