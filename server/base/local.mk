noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	%reldir%/str.c %reldir%/str.h \
	%reldir%/err.c %reldir%/err.h \
	%reldir%/mem.c %reldir%/mem.h \
	%reldir%/fd.c %reldir%/secret.c \
	%reldir%/log.c %reldir%/log.h \
	%reldir%/clock.c %reldir%/clock.h \
	%reldir%/map.c %reldir%/map.h
