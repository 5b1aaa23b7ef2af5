# Maps for other directories: examples, to be copied by whoever has one.
DIRECTORY_MAPS = \
	%reldir%/freeipa %reldir%/389ds %reldir%/active-directory %reldir%/inetlocalmailrecipient \
	%reldir%/qmail
EXTRA_DIST += $(DIRECTORY_MAPS)

install-data-local: install-directory-maps
install-directory-maps:
	for set in $(DIRECTORY_MAPS); do \
	  to='$(DESTDIR)$(datadir)/facteur/directories/'$${set##*/}; \
	  $(MKDIR_P) "$$to" && $(INSTALL) -m 0644 $(srcdir)/$$set/* "$$to" || exit 1; \
	done
uninstall-local: uninstall-directory-maps
uninstall-directory-maps:
	rm -rf '$(DESTDIR)$(datadir)/facteur/directories'
.PHONY: install-directory-maps uninstall-directory-maps
