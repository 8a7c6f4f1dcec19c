"""Modules: found, pinned, loaded, granted what their manifests ask for, and run under supervision (spec/module.md)."""
