noinst_LIBRARIES += libpop3.a
libpop3_a_SOURCES = \
	%reldir%/reader.h %reldir%/reader.c \
	%reldir%/command.h %reldir%/command.c \
	%reldir%/body.h %reldir%/body.c
