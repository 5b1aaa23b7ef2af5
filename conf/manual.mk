# facteur.conf(5) is made from the option table, so that it names every option and no other.
noinst_PROGRAMS += %reldir%/option-manual
%canon_reldir%_option_manual_SOURCES = %reldir%/option-manual.c
%canon_reldir%_option_manual_LDADD = libconfig.a $(BASE_LIBS)

EXTRA_DIST += %reldir%/facteur.conf.5.in
nodist_man_MANS += %reldir%/facteur.conf.5
CLEANFILES += %reldir%/facteur.conf.5
%reldir%/facteur.conf.5: %reldir%/option-manual$(EXEEXT) $(srcdir)/%reldir%/facteur.conf.5.in \
		$(srcdir)/server/config/options.def
	$(AM_V_GEN)%reldir%/option-manual $(srcdir)/%reldir%/facteur.conf.5.in \
	  $(srcdir)/server/config/options.def >$@.new && mv $@.new $@
