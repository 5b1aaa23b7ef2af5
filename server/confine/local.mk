noinst_LIBRARIES += libconfine.a
libconfine_a_SOURCES = \
	%reldir%/confine.h %reldir%/layers.h %reldir%/policy.h \
	%reldir%/enter.c %reldir%/caps.c %reldir%/limits.c %reldir%/landlock.c %reldir%/filter.c
nodist_libconfine_a_SOURCES = %reldir%/filters.inc

# Runs while building: the filters are compiled here and once.
noinst_PROGRAMS += confine-filters
confine_filters_SOURCES = %reldir%/compile.c %reldir%/policy.c %reldir%/policy.h
confine_filters_LDADD = $(SECCOMP_LIBS)

%reldir%/filters.inc: confine-filters$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) %reldir% && ./confine-filters$(EXEEXT) > $@.new && mv $@.new $@
%reldir%/filter.$(OBJEXT): %reldir%/filters.inc
CLEANFILES += %reldir%/filters.inc
