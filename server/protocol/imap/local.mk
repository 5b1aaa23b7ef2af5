noinst_LIBRARIES += libimap.a
libimap_a_SOURCES = \
	%reldir%/args.c %reldir%/args.h \
	%reldir%/cursor.c %reldir%/cursor.h \
	%reldir%/date.c \
	%reldir%/fetch.c %reldir%/fetch.h \
	%reldir%/list.c %reldir%/list.h \
	%reldir%/reader.c %reldir%/reader.h \
	%reldir%/search.c %reldir%/search.h %reldir%/search_command.c \
	%reldir%/set.c \
	%reldir%/utf7.c \
	%reldir%/write.c %reldir%/write.h
