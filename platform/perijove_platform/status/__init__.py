"""Whether the platform is well: for probes, for `perijove status` and for the panels."""
