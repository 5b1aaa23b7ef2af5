noinst_LIBRARIES += libconfine.a
libconfine_a_SOURCES = %reldir%/confine.h %reldir%/confine.c
