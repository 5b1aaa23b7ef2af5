noinst_LIBRARIES += libconfine.a
libconfine_a_SOURCES = \
	%reldir%/confine.h %reldir%/layers.h \
	%reldir%/enter.c %reldir%/caps.c %reldir%/limits.c %reldir%/landlock.c %reldir%/filter.c
